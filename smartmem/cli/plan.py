"""`smartmem plan`: how a model's weights move under its budget, or would under another."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import budget_option, chosen_target, json_option
from smartmem.cli.output import milliseconds, print_json, print_pairs, progress, size
from smartmem.errors import UserError

if TYPE_CHECKING:
    from smartmem.compiler import Progress
    from smartmem.passes.streaming.problem import Problem
    from smartmem.passes.streaming.record import Record
    from smartmem.runtime.bundle import Bundle

# The first is cold.
_RUNS = 8


@click.command(name="plan")
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--target", metavar="NAME", help="Which target; needed where there are several.")
@budget_option
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path),
    help="Write the model with the plan for --budget here; its kernels stay as they are.",
)
@click.option("--steps", is_flag=True, help="One line for each step.")
@click.option("--curve", is_flag=True, help="Budget against latency, from the smallest on.")
@click.option(
    "--measure",
    metavar="DEVICE",
    help="Run the model there, beside the prediction; with --curve, a model for each budget.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path),
    help="Write the plan as an SVG here; with --curve, that, too.",
)
@json_option
def command(
    path: Path,
    target: str | None,
    budget: str | None,
    out: Path | None,
    steps: bool,
    curve: bool,
    measure: str | None,
    plot: Path | None,
    as_json: bool,
) -> None:
    """Show how the weights of the compiled model at PATH move."""
    from smartmem.cli import plan_view
    from smartmem.passes.streaming import record as records
    from smartmem.runtime.budget import parse_budget
    from smartmem.runtime.bundle import Bundle

    bundle = Bundle.open(path)
    name = chosen_target(bundle, target, list(bundle.manifest.targets))
    record = _record(bundle, name)
    if out is not None and budget is None:
        raise UserError("--out writes the plan of another budget", hint="Give one with --budget.")
    with progress(as_json) as show:
        if budget is not None:
            show("planning")
            if out is None:
                record = records.plan_for(record.problem, parse_budget(budget))
            else:
                from smartmem.replan import replan

                replan(path, budget, out=out, targets=(name,), progress=show)
                bundle = Bundle.open(out)
                record = _record(bundle, name)
        points = records.curve(record.problem) if curve and not measure else []
        if curve and measure:
            points = list(_measured_curve(bundle, name, measure, record.problem, show))
        measured = _measured(bundle, measure) if measure else None
    if plot is not None:
        measured_s = measured["warm_median_seconds"] if measured else None
        drawn = plan_view.picture(f"{path.name}, {name}", record, points, measured_s)
        plot.write_text(drawn, encoding="utf-8")
    rows = plan_view.rows(record)
    if as_json:
        document: dict[str, Any] = {
            "path": str(bundle.path),
            "target": name,
            **record.summary(),
            "pinned": list(record.plan.pinned),
            "compared": records.compared(record),
            "steps": rows,
        }
        document |= {"curve": points} if curve else {}
        document |= {"measured": measured} if measured else {}
        print_json(document)
        return
    lines = [*plan_view.summary_lines(name, record)]
    if measured:
        lines.append(("measured", milliseconds(measured["warm_median_seconds"])))
    print_pairs([*lines, ("path", str(bundle.path))])
    for line in plan_view.step_lines(rows) if steps else ():
        click.echo(line)
    for line in plan_view.curve_lines(points):
        click.echo(line)


def _record(bundle: Bundle, target: str) -> Record:
    from smartmem.passes.streaming.record import Record

    plan = bundle.plan(target).get("streaming")
    if plan is None:
        raise UserError(
            f"{bundle.path}: target {target} was compiled without a budget, so it has no plan",
            hint="Compile it with --budget (100% keeps all weights in memory).",
        )
    return Record.from_json(plan)


def _measured_curve(
    bundle: Bundle, target: str, device: str, problem: Problem, show: Progress
) -> Iterator[dict[str, Any]]:
    """Points of the curve, each written as a model of its own and run."""
    from smartmem.passes.streaming.record import curve_budgets
    from smartmem.replan import replan
    from smartmem.runtime.bundle import Bundle

    with tempfile.TemporaryDirectory(prefix="smartmem-plan-") as folder:
        for budget_bytes in curve_budgets(problem):
            show(f"measuring {size(budget_bytes)}")
            out = Path(folder) / f"{budget_bytes}.smartmem"
            made = replan(bundle.path, budget_bytes, out=out, targets=(target,))
            warm_s = _measured(Bundle.open(made.path), device)["warm_median_seconds"]
            yield {**made.reports[target]["streaming"], "measured_seconds": warm_s}


def _measured(bundle: Bundle, device: str) -> dict[str, Any]:
    """Warm runs of the bundle on random inputs."""
    from smartmem.arrays import random_inputs
    from smartmem.runtime.session import Session

    session = Session(bundle, device)
    inputs = random_inputs(bundle.manifest.inputs, seed=0)
    times_s: list[float] = []
    for _ in range(_RUNS):
        start = time.perf_counter()
        session.run_flat(inputs)
        times_s.append(time.perf_counter() - start)
    return {"device": session.device.name, "warm_median_seconds": median(times_s[1:])}
