"""What ``smartmem pool`` shows: sums, a table of models, a picture of what happened when."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from statistics import median
from typing import TYPE_CHECKING, Any

from smartmem.cli import svg
from smartmem.cli.output import size

if TYPE_CHECKING:
    from smartmem.runtime.pool import Admission, Event
    from smartmem.runtime.pool.clock import Report, TaskReport

_WIDTH, _LEFT, _TOP, _ROW, _HELD = 860, 130, 34, 26, 120
_COLOURS = {
    "run": "#4477aa",
    "load": "#ccbb44",
    "prefetch": "#228833",
    "evict": "#bbbbbb",
    "miss": "#ee6677",
    "fail": "#aa3377",
}


def facts(budget_bytes: int, events: Sequence[Event], errors: Mapping[str, str]) -> dict[str, Any]:
    """The sums of a timeline, by model and in all."""
    models: dict[str, dict[str, Any]] = {}
    for name in dict.fromkeys(event.model for event in events):
        own = [event for event in events if event.model == name]
        counts = {kind: sum(event.kind == kind for event in own) for kind in _COLOURS}
        times = [event.end_s - event.start_s for event in own if event.kind == "run"]
        models[name] = {
            "device": own[0].device,
            "runs": counts["run"],
            "loads": counts["load"],
            "prefetches": counts["prefetch"],
            "evictions": counts["evict"],
            "run_min_seconds": min(times, default=None),
            "run_median_seconds": median(times) if times else None,
            "run_max_seconds": max(times, default=None),
        }
    return {
        "budget_bytes": budget_bytes,
        "held_bytes_max": max((event.held_bytes for event in events), default=0),
        "models": models,
        "errors": dict(errors),
    }


def summary_lines(
    facts: Mapping[str, Any], admission: Admission | None, report: Report | None
) -> Iterator[tuple[str, str]]:
    """Label and value of what matters of all models together."""
    held = size(facts["held_bytes_max"])
    yield "budget", f"{size(facts['budget_bytes'])}, of which {held} were held at most"
    if admission is not None:
        used = ", ".join(f"{lane} {share:.0%}" for lane, share in admission.utilisation.items())
        yield "used at most", used
        yield "admitted", f"no: {admission.refusal}" if admission.refusal else "yes"
    if report is not None:
        late = sum(row.missed for row in report.tasks)
        released = sum(row.released for row in report.tasks)
        yield "deadlines", f"{late} of {released} missed in {report.seconds:.1f} s"
    for name, error in facts["errors"].items():
        yield f"{name} failed", error
    for row in report.tasks if report is not None else ():
        if row.error is not None:
            yield f"{row.model} failed", row.error


def table_lines(
    facts: Mapping[str, Any], admission: Admission | None, report: Report | None
) -> Iterator[str]:
    """A line for each model: its runs, or what was promised and what came of it."""
    if admission is None:
        return _runs(facts)
    return _promises(admission, {row.model: row for row in report.tasks} if report else {})


def _runs(facts: Mapping[str, Any]) -> Iterator[str]:
    form = "{:<20} {:>6} {:>6} {:>10} {:>9} {:>10} {:>10} {:>10}"
    heads = ("runs", "loads", "prefetches", "evictions", "min ms", "median ms", "max ms")
    yield form.format("model", *heads)
    for name, row in facts["models"].items():
        counts = (row[key] for key in ("runs", "loads", "prefetches", "evictions"))
        times = (_ms(row[f"run_{key}_seconds"]) for key in ("min", "median", "max"))
        yield form.format(name, *counts, *times)


def _promises(admission: Admission, done: Mapping[str, TaskReport]) -> Iterator[str]:
    form = "{:<20} {:>9} {:>9} {:>9} {:>9} | {:>5} {:>6} {:>6} {:>7} {:>7} {:>9} {:>9} {:>9}"
    yield form.format(
        "model (times in ms)", "period", "deadline", "a run", "bound",
        "runs", "missed", "failed", "skipped", "overran", "min", "median", "max",
    )  # fmt: skip
    for verdict in admission.verdicts:
        promised = (verdict.period_s, verdict.deadline_s, verdict.time_s, verdict.bound_s)
        counts: tuple[object, ...] = ("-",) * 5
        times: tuple[float, ...] = ()
        if (row := done.get(verdict.model)) is not None:
            counts = (row.finished, row.missed, row.failed, row.skipped, row.overran)
            times = row.responses_s
        measured = (f(times) if times else None for f in (min, median, max))
        yield form.format(verdict.model, *map(_ms, promised), *counts, *map(_ms, measured))


def _ms(time_s: float | None) -> str:
    return "-" if time_s is None else f"{time_s * 1e3:.2f}"


def picture(title: str, facts: Mapping[str, Any], events: Sequence[Event]) -> str:
    """What happened as SVG: a row for each model, and below the memory held."""
    begin = min((event.start_s for event in events), default=0.0)
    span_s = max(max((event.end_s for event in events), default=0.0) - begin, 1e-9)
    names = list(facts["models"])
    across = _WIDTH - _LEFT - 10
    rows = {
        name: svg.Panel(_LEFT, _TOP + place * _ROW, across, _ROW - 8)
        for place, name in enumerate(names)
    }
    parts = [svg.text(4, 16, title)]
    for place, (kind, colour) in enumerate(_COLOURS.items()):
        left = _LEFT + 120 * place
        parts.append(svg.Panel(left, 6, 12, 12).bar(0, 1, 0, 1, colour))
        parts.append(svg.text(left + 16, 16, kind))
    for event in events:
        start = (event.start_s - begin) / span_s
        # What takes no time is seen, too.
        width = max((event.end_s - event.start_s) / span_s, 1 / across)
        parts.append(rows[event.model].bar(start, width, 0, 1, _COLOURS[event.kind]))
    parts += [svg.text(4, panel.bottom, name) for name, panel in rows.items()]
    held = svg.Panel(_LEFT, _TOP + len(names) * _ROW + 24, across, _HELD)
    most = max(facts["budget_bytes"], 1)
    points, level = [(0.0, 0.0)], 0.0
    for event in sorted(events, key=lambda event: event.end_s):
        at = (event.end_s - begin) / span_s
        points += [(at, level), (at, event.held_bytes / most)]
        level = event.held_bytes / most
    parts += [held.line([*points, (1.0, level)], _COLOURS["run"]), held.level(1.0)]
    parts += [
        svg.text(_LEFT, held.top - 8, "memory held; the line above is the budget"),
        svg.text(4, held.top + 10, size(facts["budget_bytes"])),
        svg.text(4, held.bottom, "0"),
        svg.text(_WIDTH - 70, held.bottom + 18, f"{span_s:.3f} s"),
    ]
    return svg.document(_WIDTH, held.bottom + 28, parts)
