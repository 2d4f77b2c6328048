"""`smartmem check`: the answer before compiling; exit code 2 where something is not supported."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import json_option, targets_option
from smartmem.cli.output import print_json, print_pairs, progress, size
from smartmem.errors import UnsupportedError, counted, not_supported, table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smartmem.check import CheckReport, TargetCheck
    from smartmem.frontend.narrow import NarrowOp
    from smartmem.passes.rules.slow import SlowOp


@click.command(name="check")
@click.argument("spec")
@targets_option
@json_option
def command(spec: str, targets: tuple[str, ...], as_json: bool) -> int:
    """Say what compiling SPEC would give: what is not supported, what will be slow and why, what
    the device must have, and how much memory it takes.
    """
    from smartmem.cli.compile import check_target_names

    check_target_names(targets)
    from smartmem.check import check
    from smartmem.frontend.loader import load_source

    with progress(as_json) as show:
        show(f"loading {spec}")
        report = check(*load_source(spec), targets=targets, progress=show)
    if as_json:
        print_json({"spec": spec, **report.as_json()})
    else:
        _print(report)
    return 0 if report.ok else UnsupportedError.exit_code


def _print(report: CheckReport) -> None:
    if not report.ok:
        click.echo(not_supported(len(report.unsupported)))
        click.echo(table(report.unsupported))
        return
    if report.narrow:
        click.echo(_narrow_lines(report.narrow))
    for row in report.targets:
        print_pairs(_lines(report, row))
        for slow in row.slow:
            click.echo(_slow_lines(slow))


def _narrow_lines(narrow: Sequence[NarrowOp]) -> str:
    return "\n".join(
        [
            f"int64 in 32 bits: {counted(len(narrow), 'result')} may wrap without a word",
            *(f"  {row.op} at {row.location}" for row in narrow),
        ]
    )


def _lines(report: CheckReport, row: TargetCheck) -> list[tuple[str, str]]:
    return [
        ("target", row.target),
        ("supported", f"all {report.graph_ops} ops"),
        ("dispatches", f"about {row.dispatches_estimate} (estimate)"),
        ("weights", size(row.weights_bytes)),
        ("peak transient", f"about {size(row.peak_transient_bytes_estimate)} (estimate)"),
        ("largest tensor", size(row.largest_tensor_bytes)),
        *_needs_lines(dict(row.needs)),
        ("slow", counted(len(row.slow), "finding") if row.slow else "nothing known"),
    ]


def _needs_lines(needs: dict[str, Any]) -> list[tuple[str, str]]:
    if not needs:
        return []
    return [
        ("needs", f"Vulkan {needs['vulkan']} (kernels in SPIR-V {needs['spirv']})"),
        ("  features", ", ".join(needs["features"]) or "none beyond the core"),
        ("  extensions", ", ".join(needs["extensions"]) or "none"),
        ("  says", needs["source"]),
    ]


def _slow_lines(slow: SlowOp) -> str:
    more = f" and {len(slow.locations) - 3} more places" if len(slow.locations) > 3 else ""
    return (
        f"  {slow.rule} at {', '.join(slow.locations[:3])}{more}\n"
        f"    why      {slow.why}\n"
        f"    instead  {slow.instead}\n"
        f"    source   {slow.source}"
    )
