"""`smartmem compile`: a model becomes a bundle. Always strict: an unsupported op is an error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

import click

from smartmem.cli.output import json_option, print_json, print_pairs, progress
from smartmem.cli.report import report_lines
from smartmem.errors import UserError


@click.command(name="compile")
@click.argument("spec")
@click.option(
    "--target",
    "targets",
    multiple=True,
    default=("cpu",),
    show_default=True,
    metavar="NAME",
    help="cpu, vulkan (the device at hand), llvmpipe, adreno, mali, nvidia, generic, or an IREE "
    "Vulkan target name; may be repeated.",
)
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The folder to write; by default the model's name with .smartmem.",
)
@json_option
def command(spec: str, targets: tuple[str, ...], output: Path | None, as_json: bool) -> None:
    """Compile SPEC: a .pt2 file, module:callable returning (model, inputs), or suite:NAME."""
    check_target_names(targets)
    out = output or default_output(spec)
    from smartmem.compiler import compile_model
    from smartmem.frontend.loader import load_source

    with progress(as_json) as show:
        show(f"loading {spec}")
        model, example_inputs = load_source(spec)
        compiled = compile_model(model, example_inputs, targets=targets, out=out, progress=show)
    if as_json:
        print_json({"path": str(compiled.path), "targets": compiled.reports})
        return
    for target, report in compiled.reports.items():
        print_pairs([*report_lines(target, report), ("path", str(compiled.path))])


def check_target_names(targets: Sequence[str]) -> None:
    """Refuses a name that looks like a misspelt target; other unknown names are IREE's to judge."""
    from difflib import get_close_matches

    from smartmem.passes.target import known_targets
    from smartmem.runtime.devices import FAMILIES

    known = ["vulkan", *known_targets()]
    prefixes = tuple(prefix for family in FAMILIES for prefix in family.iree_prefixes)
    for name in targets:
        if name in known or name.startswith(prefixes):
            continue
        if matches := get_close_matches(name, known, n=1, cutoff=0.7):
            raise UserError(
                f"unknown target {name!r}. Did you mean {matches[0]!r}?",
                hint=f"Known: {', '.join(known)}, and IREE's Vulkan target names.",
            )


def default_output(spec: str) -> Path:
    """NAME.smartmem in the working folder: NAME is the file's, the callable's or the suite's."""
    name = spec.rpartition(":")[2] if not spec.endswith(".pt2") else Path(spec).stem
    return Path(f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name) or 'model'}.smartmem")
