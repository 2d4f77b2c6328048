"""`smartmem verify`: a compiled model against the eager one; exit code 3 on mismatch."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from smartmem.cli.output import json_option, print_json, print_pairs, progress
from smartmem.errors import MismatchError, UserError

if TYPE_CHECKING:
    from smartmem.verify import VerifyReport


@click.command(name="verify")
@click.argument("path", type=click.Path(path_type=Path))
@click.argument("spec", required=False)
@click.option("--source", help="The model, as SPEC.")
@click.option(
    "--device",
    "devices",
    multiple=True,
    default=("auto",),
    show_default=True,
    help="auto, cpu, vulkan, or a name; may be repeated.",
)
@click.option(
    "--rtol",
    type=click.FloatRange(min=0, min_open=True),
    help="Relative L2 allowed; by default 1e-4 for float32, 1e-2 float16, 5e-2 bfloat16.",
)
@click.option("--seed", default=0, show_default=True, help="Seed of the second input.")
@json_option
def command(
    path: Path,
    spec: str | None,
    source: str | None,
    devices: tuple[str, ...],
    rtol: float | None,
    seed: int,
    as_json: bool,
) -> int:
    """Compare the compiled model at PATH with SPEC, given as for `smartmem compile`."""
    if (spec is None) == (source is None):
        raise UserError(
            "verify needs the model it compares with, once",
            hint="Write `smartmem verify PATH SPEC` or `smartmem verify PATH --source SPEC`.",
        )
    from smartmem.runtime.bundle import Bundle
    from smartmem.runtime.session import Session
    from smartmem.verify import verify

    # What is wrong with the bundle or a device is told before the model is loaded, which is slow.
    bundle = Bundle.open(path)
    sessions = [Session(bundle, device) for device in devices]
    from smartmem.frontend.loader import load_source

    reports: list[VerifyReport] = []
    with progress(as_json) as show:
        show("loading the eager model")
        model, example_inputs = load_source(spec or source or "")
        for session in sessions:
            show(f"comparing on {session.device.name}")
            reports.append(verify(session, model, example_inputs, rtol=rtol, seed=seed))
    ok = all(report.ok for report in reports)
    if as_json:
        print_json(
            {"path": str(path), "ok": ok, "devices": [report.as_json() for report in reports]}
        )
    else:
        for report in reports:
            _print_report(report)
    return 0 if ok else MismatchError.exit_code


def _print_report(report: VerifyReport) -> None:
    print_pairs([("device", report.device), ("target", report.target)])
    print_pairs(
        (
            f"{row.name}, input {row.case + 1}",
            f"{'ok ' if row.ok else 'BAD'} relative L2 {row.relative_l2:.3g} "
            f"(allowed {row.tolerance:g}), max abs {row.max_abs:.3g}, cosine {row.cosine:.6f}, "
            f"changes by {row.change:.3g}",
        )
        for row in report.outputs
    )
    click.echo("matches eager" if report.ok else f"MISMATCH: {report.reason}")
