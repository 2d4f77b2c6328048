"""`smartmem predict`: how long a model takes on a target; or measure models for that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import json_option
from smartmem.cli.output import print_json, print_pairs, progress
from smartmem.errors import UserError

if TYPE_CHECKING:
    from smartmem.passes.tuning.latency import Latency, LatencyTable

_SHOWN = 10


@click.command(name="predict")
@click.argument("specs", nargs=-1)
@click.option("--target", help="What to predict for; a compiled folder with one target has it.")
@click.option(
    "--table",
    "table_file",
    type=click.Path(path_type=Path),
    help="The latency table to use; by default the one that comes with smartmem.",
)
@click.option(
    "--record",
    type=click.Path(path_type=Path),
    help="Measure SPECS on --device instead, and add them to this latency table.",
)
@click.option("--device", default="vulkan", show_default=True, help="Where --record measures.")
@click.option(
    "--export",
    type=click.Path(path_type=Path),
    help="Write the table as JSON rows {key, kind, us}; without SPEC nothing is predicted.",
)
@json_option
def command(
    specs: tuple[str, ...],
    target: str | None,
    table_file: Path | None,
    record: Path | None,
    device: str,
    export: Path | None,
    as_json: bool,
) -> None:
    """Predict a warm call of each of SPECS: models as for `smartmem compile`, or compiled folders.

    Nothing is run, and no kernel is built.
    """
    from smartmem.passes.tuning.latency import for_target, load

    if record is not None:
        _record(specs, record, device, as_json)
        return
    table = load(table_file) if table_file else None
    if export is not None:
        if table is None and target is None:
            raise UserError("whose table to export?", hint="Give --target or --table.")
        held = table or for_target(target or "")
        export.write_text(json.dumps(held.rows(), indent=1) + "\n", encoding="utf-8")
    elif not specs:
        raise UserError("nothing to predict", hint="Write `smartmem predict SPEC --target NAME`.")
    with progress(as_json) as show:
        found = {spec: _predicted(spec, target, table, show) for spec in specs}
    if as_json:
        print_json({"models": {spec: _json(latency) for spec, latency in found.items()}})
        return
    for spec, latency in found.items():
        _print(spec, latency)


def _predicted(spec: str, target: str | None, table: LatencyTable | None, show: Any) -> Latency:
    from smartmem.predict import predict_latency

    show(f"{spec}: up to its dispatches")
    if Path(spec).is_dir():
        return predict_latency(spec, target=target, table=table)
    from smartmem.frontend.loader import load_source

    model, inputs, kwargs = load_source(spec)
    return predict_latency(model, inputs, target, example_kwargs=kwargs, table=table)


def _record(specs: tuple[str, ...], file: Path, wish: str, as_json: bool) -> None:
    from smartmem.frontend.loader import load_source
    from smartmem.passes.tuning.latency import empty, load
    from smartmem.runtime.devices import find
    from smartmem.tuning.profile import measure_model

    if not specs:
        raise UserError("nothing to measure", hint="Name models, as for `smartmem compile`.")
    device = find(wish)
    if device.target == "cpu":
        raise UserError(
            f"{device.name}: kernels are measured on Vulkan devices", hint="Give --device."
        )
    table = load(file) if file.is_file() else empty(device.target)
    if table.family != device.target:
        raise UserError(f"{file}: is of {table.family}, and {device.name} is {device.target}")
    source = {
        "device": device.name,
        "driver": device.driver,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    with progress(as_json) as show:
        for spec in specs:
            measured = measure_model(
                spec.removeprefix("suite:"), *load_source(spec), device=device, progress=show
            )
            table = table.adding(measured, source)
            # After each, so that what was measured is kept whatever comes.
            file.write_text(table.to_json(), encoding="utf-8")
    summary = {"path": str(file), "models": len(table.models), "dispatches": len(table.rows())}
    if as_json:
        print_json(summary)
    else:
        print_pairs([(key, str(value)) for key, value in summary.items()])


def _json(latency: Latency) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(latency), "measured_share": latency.measured_share}


def _print(spec: str, latency: Latency) -> None:
    share = 100 * latency.measured_share
    print_pairs(
        [
            ("model", spec),
            ("target", latency.target),
            ("predicted", f"{latency.milliseconds:.3g} ms a warm call"),
            ("measured before", f"{share:.0f} % of it, by kernels of the same shapes"),
        ]
    )
    rows = sorted(latency.steps, key=lambda s: -s.us * s.calls)[:_SHOWN]
    print_pairs(
        (
            f"{row.us * row.calls / 1e3:.3g} ms",
            f"{row.calls} x {row.entry} ({row.source}) at {row.location or 'an unknown line'}",
        )
        for row in rows
    )
