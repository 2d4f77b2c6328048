"""`smartmem explain`: all that is known of one op or tensor of a compiled model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from smartmem.cli.options import chosen_targets, json_option, report_target_option
from smartmem.cli.output import print_json, size
from smartmem.errors import UserError
from smartmem.report import layout_report, line_of, matching


@click.command(name="explain")
@click.argument("path", type=click.Path(path_type=Path), required=False)
@click.argument("what", required=False)
@click.option(
    "--fusion-table",
    "wants_table",
    is_flag=True,
    help="Print which types of ops may share a kernel (DNNFusion's table), and stop.",
)
@report_target_option
@json_option
def command(
    path: Path | None,
    what: str | None,
    wants_table: bool,
    targets: tuple[str, ...],
    as_json: bool,
) -> None:
    """Explain WHAT of the compiled model at PATH: an op (conv), a line (net.py:12), or a module."""
    from smartmem.runtime.bundle import Bundle

    if wants_table:
        _show_table(as_json)
        return
    if path is None or what is None:
        raise click.UsageError("Missing argument 'PATH' or 'WHAT'.")

    bundle = Bundle.open(path)
    found = {
        name: _found(layout_report(bundle, name), what) for name in chosen_targets(bundle, targets)
    }
    known = ("tensors", "transformations", "fusion")
    if not any(rows[key] for rows in found.values() for key in known):
        raise UserError(
            f"{path}: nothing here is called {what!r}.",
            hint="Name an op (conv), a Python line (net.py:12) or a module (layers.0); "
            "`smartmem report` lists the lines.",
        )
    if as_json:
        print_json({"path": str(path), "what": what, "targets": found})
        return
    for name, rows in found.items():
        click.echo(f"target {name}")
        _show(rows)


def _found(report: Mapping[str, Any], what: str) -> dict[str, Sequence[Mapping[str, Any]]]:
    tensors = matching(report["tensors"], what)
    moves = matching(report["transformations"], what)
    lines = {line_of(row["at"]) for row in (*tensors, *moves)}
    kernels = [row for row in report["kernels"] if row["location"] in lines]
    fusion = [
        row
        for row in report["fusion"]
        if what in (row["from"], row["to"]) or what in row["from_at"] or what in row["to_at"]
    ]
    return {"tensors": tensors, "transformations": moves, "kernels": kernels, "fusion": fusion}


def _show_table(as_json: bool) -> None:
    from smartmem.passes.rules.fusion import TABLE, table

    if as_json:
        rows = [
            {"first": first, "second": second, "colour": cell.colour, "type": cell.mapping}
            for (first, second), cell in TABLE.items()
        ]
        print_json({"fusion_table": rows})
        return
    click.echo("\n".join(table()))


def _show(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    for row in rows["tensors"]:
        click.echo(f"  {row['op']} at {row['at']}")
        click.echo(f"    class   {row['class']}")
        click.echo(f"    result  {row['element']}{row['shape']}, dims in the order {row['layout']}")
    for row in rows["transformations"]:
        click.echo(f"  {row['op']} at {row['at']}")
        click.echo(f"    {row['fate']}: {row['reason']}; {size(row['bytes_before'])} before")
    for row in rows["fusion"]:
        verdict = "in one kernel" if row["one_kernel"] else "not in one kernel"
        click.echo(f"  {row['from']} at {row['from_at']}, then {row['to']} at {row['to_at']}")
        click.echo(f"    {verdict}: {row['reason']}")
        click.echo(f"    {', then '.join(row['types'])}: {row['colour']}")
    for row in rows["kernels"]:
        moved = size((row["read_bytes"] + row["written_bytes"]) * row["calls"])
        click.echo(f"  kernel {row['name']}: only moves elements, {moved}")
