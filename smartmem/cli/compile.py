"""`smartmem compile`: a model becomes a bundle. Always strict: an unsupported op is an error."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import budget_option, json_option, storage_option, targets_option
from smartmem.cli.output import print_json, print_pairs, progress
from smartmem.cli.summary import report_lines
from smartmem.precision import check_precision

if TYPE_CHECKING:
    from smartmem.passes.target import Storage
    from smartmem.runtime.manifest import Precision


@click.command(name="compile")
@click.argument("spec")
@targets_option
@click.option(
    "-o",
    "--output",
    type=click.Path(path_type=Path),
    help="The folder to write; by default the model's name with .smartmem.",
)
@click.option(
    "--disable-pass",
    "disabled",
    multiple=True,
    metavar="NAME",
    help="Leave this pass out, to see what it gains; may be repeated.",
)
@storage_option
@budget_option
@click.option(
    "--fast-math",
    is_flag=True,
    help="Rewrite arithmetic in ways that change rounding, or assume that nothing overflows: "
    "docs/rewriting.md.",
)
@click.option(
    "--precision",
    type=click.Choice(("fp32", "fp16")),
    default="fp32",
    show_default=True,
    help="fp16 holds float32 tensors and weights as halves where their values allow it: "
    "docs/precision.md.",
)
@click.option(
    "--keep-fp32",
    "keep_fp32",
    multiple=True,
    metavar="PATTERN",
    help="With fp16: modules that stay in float32, such as 'decoder.*'; may be repeated.",
)
@click.option(
    "--print-ir-after-all",
    "print_ir",
    is_flag=True,
    help="Print the module to stderr after each of our passes.",
)
@click.option(
    "--tuning",
    default="auto",
    show_default=True,
    metavar="FILE|off",
    help="Tiles of kernels that `smartmem tune` measured: auto is the user's and those shipped.",
)
@json_option
def command(
    spec: str,
    targets: tuple[str, ...],
    output: Path | None,
    disabled: tuple[str, ...],
    storage: Storage,
    budget: str | None,
    fast_math: bool,
    precision: Precision,
    keep_fp32: tuple[str, ...],
    print_ir: bool,
    tuning: str,
    as_json: bool,
) -> None:
    """Compile SPEC: a .pt2 file, module:callable returning (model, inputs), or suite:NAME."""
    from smartmem.passes.pipeline import check_disabled

    check_target_names(targets)
    check_disabled(disabled)
    check_precision(precision, keep_fp32)
    out = output or default_output(spec)
    from smartmem.passes.target import resolve, with_tuning
    from smartmem.runtime.budget import parse_budget
    from smartmem.runtime.bundle_writer import check_writable

    # What is wrong with the output, tuning or budget is told before the work, which is slow.
    check_writable(out)
    for name in targets:
        with_tuning(resolve(name), tuning)
    if budget is not None:
        parse_budget(budget)
    from smartmem.compiler import compile_model
    from smartmem.frontend.loader import load_source

    with progress(as_json) as show:
        show(f"loading {spec}")
        compiled = compile_model(
            *load_source(spec),
            targets=targets,
            out=out,
            progress=show,
            disabled_passes=disabled,
            storage=storage,
            budget=budget,
            fast_math=fast_math,
            precision=precision,
            keep_fp32=keep_fp32,
            after_pass=_print_ir if print_ir else None,
            tuning=tuning,
        )
    if compiled.dropped:
        click.echo(
            f"{out} was of another model or version; targets no longer there: "
            f"{', '.join(compiled.dropped)}",
            err=True,
        )
    if as_json:
        print_json(
            {
                "path": str(compiled.path),
                "targets": compiled.reports,
                "dropped_targets": list(compiled.dropped),
            }
        )
        return
    for target, report in compiled.reports.items():
        print_pairs([*report_lines(target, report), ("path", str(compiled.path))])


def _print_ir(name: str, module: Any) -> None:
    """As smartmem-opt does it; constants of many elements are left out."""
    from smartmem.passes.base import ir_dump

    click.echo(ir_dump(name, module), err=True)


def check_target_names(targets: Sequence[str]) -> None:
    """Refuses what is no target: a misspelt name, one unknown to IREE, `vulkan` without a device.

    The known ones are answered at once; others are iree-compile's to judge, in about a second.
    """
    from smartmem.passes.iree.requirements import requirements
    from smartmem.passes.target import known_targets, resolve

    for name in targets:
        target = resolve(name)
        if target.name not in known_targets():
            requirements(target)


def default_output(spec: str) -> Path:
    """NAME.smartmem in the working folder: NAME is the file's, the callable's or the suite's."""
    name = spec.rpartition(":")[2] if not spec.endswith(".pt2") else Path(spec).stem
    return Path(f"{re.sub(r'[^A-Za-z0-9_.-]+', '_', name) or 'model'}.smartmem")
