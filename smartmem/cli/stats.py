"""`smartmem stats`: what compiling gained, as recorded in the bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from smartmem.cli.options import chosen_targets, json_option, report_target_option
from smartmem.cli.output import print_json, print_pairs
from smartmem.cli.summary import report_lines


@click.command(name="stats")
@click.argument("path", type=click.Path(path_type=Path))
@report_target_option
@click.option(
    "--stock",
    metavar="SPEC",
    help="Compile this model with stock IREE, too, and count it with the same counter.",
)
@json_option
def command(path: Path, targets: tuple[str, ...], stock: str | None, as_json: bool) -> None:
    """Show the report of the compiled model at PATH."""
    from smartmem.runtime.bundle import Bundle
    from smartmem.timings import recall

    bundle = Bundle.open(path)
    known = bundle.manifest.targets
    reports = {
        name: {**bundle.report(name), "compile_seconds": recall(known[name].sha256)}
        for name in chosen_targets(bundle, targets)
    }
    stock_counts = {name: _stock(stock, name) for name in reports} if stock else {}
    if as_json:
        document: dict[str, Any] = {"path": str(path), "targets": reports}
        print_json(document | ({"stock": stock_counts} if stock else {}))
        return
    for name, report in reports.items():
        print_pairs([*report_lines(name, report), ("path", str(path))])
        if name in stock_counts:
            print_pairs(report_lines(f"{name}, stock IREE", stock_counts[name]))


def _stock(spec: str, target: str) -> dict[str, Any]:
    """What stock IREE makes of the model `spec` for `target`, by our counter."""
    from smartmem.benchmarks.stock import stock_stream_ir
    from smartmem.frontend.loader import load_source
    from smartmem.passes.iree.count import count
    from smartmem.passes.target import resolve

    source = load_source(spec)
    flags = resolve(target).device_flags
    return count(stock_stream_ir(*source[:2], flags, source.example_kwargs)).to_json()
