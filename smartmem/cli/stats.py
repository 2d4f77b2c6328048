"""`smartmem stats`: what compiling gained, as recorded in the bundle."""

from __future__ import annotations

from pathlib import Path

import click

from smartmem.cli.output import json_option, print_json, print_pairs
from smartmem.cli.report import report_lines
from smartmem.errors import UserError


@click.command(name="stats")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--target", "targets", multiple=True, help="Only this target; may be repeated.")
@json_option
def command(path: Path, targets: tuple[str, ...], as_json: bool) -> None:
    """Show the report of the compiled model at PATH."""
    from smartmem.runtime.bundle import Bundle
    from smartmem.spelling import did_you_mean
    from smartmem.timings import recall

    bundle = Bundle.open(path)
    known = bundle.manifest.targets
    for name in targets:
        if name not in known:
            raise UserError(
                f"{path}: no target {name!r}.{did_you_mean(name, known)}",
                hint=f"It was compiled for {', '.join(known)}.",
            )
    reports = {
        name: {**bundle.report(name), "compile_seconds": recall(known[name].sha256)}
        for name in (targets or sorted(known))
    }
    if as_json:
        print_json({"path": str(path), "targets": reports})
        return
    for name, report in reports.items():
        print_pairs([*report_lines(name, report), ("path", str(path))])
