"""`smartmem pool`: several models under one budget, in turn or by the clock."""

from __future__ import annotations

import random
import threading
from concurrent.futures import Future
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import json_option
from smartmem.cli.output import print_json, print_pairs, progress
from smartmem.errors import MismatchError, UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from smartmem.pool_spec import PoolSpec
    from smartmem.runtime.pool import Admission, Pool, Schedule
    from smartmem.runtime.pool.clock import Report
    from smartmem.runtime.pool.periodic import Feed


@click.command(name="pool")
@click.argument("spec", type=click.Path(path_type=Path, exists=True, dir_okay=False))
@click.option(
    "--seconds",
    default=10.0,
    show_default=True,
    type=click.FloatRange(min=0, min_open=True),
    help="How long tasks with periods are released.",
)
@click.option(
    "--runs",
    default=10,
    show_default=True,
    type=click.IntRange(min=1),
    help="Runs of each model where none has a period; they come in a drawn order.",
)
@click.option("--seed", default=0, show_default=True, help="Of random inputs, and of that order.")
@click.option("--check", is_flag=True, help="Only say whether all deadlines can be met.")
@click.option("--force", is_flag=True, help="Run even where they may not be.")
@click.option("--timeline", is_flag=True, help="Show what happened when, as text.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write that as an SVG here.")
@json_option
def command(
    spec: Path,
    seconds: float,
    runs: int,
    seed: int,
    check: bool,
    force: bool,
    timeline: bool,
    plot: Path | None,
    as_json: bool,
) -> int:
    """Run the models of the file SPEC.toml together, under one budget (docs/pool.md).

    Where models have periods, they are tested first: what may miss a deadline is refused.
    """
    from smartmem.cli import pool_view
    from smartmem.pool_spec import budget_bytes, fill, read_spec
    from smartmem.runtime.pool import Pool, Schedule
    from smartmem.runtime.pool.timeline import text_lines

    read = read_spec(spec)
    if check and not read.is_periodic:
        raise UserError(f"{spec}: no model has a period, so there is nothing to check")
    admission: Admission | None = None
    report: Report | None = None
    errors: dict[str, str] = {}
    with progress(as_json) as show, Pool(budget_bytes(read), read.device, order=read.order) as pool:
        feeds = fill(pool, read, seed)
        if read.is_periodic:
            schedule = Schedule(pool, read.tasks, feeds)
            show("measuring each model by itself")
            admission = schedule.admit(read.margin)
            if not check and (admission.ok or force):
                show(f"running for {seconds:g} s")
                report = _scheduled(pool, schedule, read, feeds, seconds)
        else:
            show("running")
            errors = _interleaved(pool, feeds, runs, seed)
        events = pool.timeline
    facts = pool_view.facts(pool.memory.budget_bytes, events, errors)
    if plot is not None:
        plot.write_text(pool_view.picture(spec.name, facts, events), encoding="utf-8")
    ok = all(part is None or part.ok for part in (admission, report)) and not facts["errors"]
    if as_json:
        document: dict[str, Any] = {"path": str(spec), "ok": ok, **facts}
        document["admission"] = admission.to_json() if admission else None
        document["report"] = report.to_json() if report else None
        document["events"] = [event.to_json() for event in events]
        print_json(document)
    else:
        print_pairs(pool_view.summary_lines(facts, admission, report))
        for line in pool_view.table_lines(facts, admission, report):
            click.echo(line)
        for line in text_lines(events) if timeline else ():
            click.echo(line)
    return 0 if ok else MismatchError.exit_code


def _interleaved(pool: Pool, feeds: Mapping[str, Feed], runs: int, seed: int) -> dict[str, str]:
    """So many runs of each model, all asked for at once, in a drawn order; the first error of each
    model that had one.
    """
    order = [name for name in feeds for _ in range(runs)]
    random.Random(seed).shuffle(order)
    calls = {name: feed({}) for name, feed in feeds.items()}
    asked = [(name, pool.submit(name, *calls[name][0], **calls[name][1])) for name in order]
    errors: dict[str, str] = {}
    for name, result in asked:
        if (error := result.exception()) is not None:
            errors.setdefault(name, f"{type(error).__name__}: {error}")
    return errors


def _scheduled(
    pool: Pool, schedule: Schedule, spec: PoolSpec, feeds: Mapping[str, Feed], seconds: float
) -> Report:
    """The tasks by the clock; models without a period run again and again in the background."""
    ended = threading.Event()

    def again(name: str) -> None:
        def done(result: Future[Any]) -> None:
            if not ended.is_set() and not result.cancelled() and result.exception() is None:
                again(name)

        args, kwargs = feeds[name]({})
        pool.submit(name, *args, **kwargs).add_done_callback(done)

    background = [task.model for task in spec.tasks if not task.is_periodic]
    for name in () if schedule.takes_turns else background:
        again(name)
    try:
        return schedule.run(seconds)
    finally:
        ended.set()
