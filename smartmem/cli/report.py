"""`smartmem report`: what became of each layout transformation of a compiled model, and why."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from smartmem.cli.options import chosen_targets, json_option, report_target_option
from smartmem.cli.output import print_json, print_pairs, size
from smartmem.cli.summary import texture_lines
from smartmem.report import grouped, layout_report


@click.command(name="report")
@click.argument("path", type=click.Path(path_type=Path))
@report_target_option
@json_option
def command(path: Path, targets: tuple[str, ...], as_json: bool) -> None:
    """Show the layout transformations of the compiled model at PATH."""
    from smartmem.runtime.bundle import Bundle

    bundle = Bundle.open(path)
    reports = {name: layout_report(bundle, name) for name in chosen_targets(bundle, targets)}
    if as_json:
        print_json({"path": str(path), "targets": reports})
        return
    for name, report in reports.items():
        _show(name, report)


def _show(target: str, report: Mapping[str, Any]) -> None:
    sums = report["sums"]
    print_pairs(
        [
            ("target", target),
            ("in the graph", f"{sums['in_graph']}, and {sums['added']} that the passes add"),
            ("removed", f"{sums['removed']}: no op is left"),
            ("folded", f"{sums['folded']}: part of a kernel that computes"),
            ("kept", f"{sums['kept']}, as {sums['layout_dispatches']} layout dispatches"),
            ("bytes", f"{size(sums['bytes_before'])} before, {size(sums['bytes_after'])} after"),
            *texture_lines(report),
        ]
    )
    click.echo("\ntransformations (bytes before)")
    print_pairs(
        (
            f"  {move['fate']} {_times(count)}{move['op']} at {move['at']}",
            f"{size(move['bytes_before'])}; {move['reason']}",
        )
        for move, count in grouped(report["transformations"])
    )
    click.echo("\nlayout kernels that are left")
    print_pairs(
        (
            f"  {row['name']} at {row['location'] or 'unknown line'}",
            f"{size((row['read_bytes'] + row['written_bytes']) * row['calls'])}; "
            + ("; ".join(row["why"]) or "made by IREE"),
        )
        for row in report["kernels"]
    )


def _times(count: int) -> str:
    return f"{count} x " if count > 1 else ""
