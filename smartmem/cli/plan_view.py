"""What ``smartmem plan`` shows of a plan: numbers by step, lines of text, a picture.

The picture is plain SVG: memory over time above, loads against dispatches below, on one time axis;
then, where it is asked for, budget against latency.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any

from smartmem.cli import svg
from smartmem.cli.output import milliseconds, size
from smartmem.passes.streaming.record import Record, compared

_BLOCKS = " ▁▂▃▄▅▆▇█"
_SPARK_COLUMNS = 64
_MOST_PINNED_SHOWN = 8

_WIDTH, _PANEL, _LEFT, _TOP, _GAP = 860, 170, 90, 34, 46
_PINNED, _ARENA, _HIDDEN, _EXPOSED = "#bbbbbb", "#4477aa", "#228833", "#ee6677"

Rows = Sequence[Mapping[str, Any]]


def rows(record: Record) -> list[dict[str, Any]]:
    """For each step of the plan: when it starts, how long it waits and runs, what it loads, and
    the weight memory in use while it runs.
    """
    problem, plan = record.coarse.problem, record.plan
    occupied, loaded = plan.occupied_bytes(problem), plan.loaded_bytes(problem)
    pinned = plan.pinned_bytes(problem)
    waits = [problem.read_us(loaded[2 * n]) for n in range(len(problem.steps))]
    times = [step.time_us for step in problem.steps]
    ends = accumulate(wait + time for wait, time in zip(waits, times, strict=True))
    return [
        {
            "name": step.name,
            "dispatches": count,
            "kind": step.kind,
            "start_us": end - step.time_us,
            "wait_us": waits[number],
            "time_us": step.time_us,
            "exposed_bytes": loaded[2 * number],
            "hidden_bytes": loaded[2 * number + 1],
            "memory_bytes": pinned + max(occupied[2 * number : 2 * number + 2]),
        }
        for number, (step, count, end) in enumerate(
            zip(problem.steps, record.coarse.counts, ends, strict=True)
        )
    ]


def summary_lines(target: str, record: Record) -> Iterator[tuple[str, str]]:
    """Label and value of what matters of a plan."""
    facts = record.summary()
    slower = facts["predicted_us"] / facts["predicted_preloaded_us"] - 1
    yield "target", target
    yield "budget", f"{size(facts['budget_bytes'])} of {size(facts['weights_bytes'])} of weights"
    yield "smallest budget", size(facts["smallest_budget_bytes"])
    arena = f"{size(facts['pinned_bytes'])} pinned, {size(facts['arena_bytes'])} arena"
    yield "memory", f"{size(facts['peak_weight_bytes'])} at most: {arena}"
    exposed = f"{size(facts['exposed_bytes'])} of them exposed"
    yield "read in each run", f"{size(facts['streamed_bytes'])}, {exposed}"
    yield "submissions", f"{facts['submissions']} for {len(record.problem.steps)} dispatches"
    yield "predicted", f"{milliseconds(facts['predicted_us'] / 1e6)} ({slower:+.0%} to preloaded)"
    proof = ", proven by windows" if facts["proven"] else ""
    yield "no plan beats", f"{milliseconds(facts['bound_us'] / 1e6)} (gap {facts['gap']:.0%})"
    yield "planner", facts["planner"] + proof
    for other in compared(record) if record.plan.residencies else ():
        memory, time_s = size(other["peak_weight_bytes"]), other["predicted_us"] / 1e6
        yield f"by {other['planner']}", f"{milliseconds(time_s)} in {memory}"
    if record.plan.pinned and record.plan.residencies:
        yield "pinned", _pinned(record)
    steps = rows(record)
    if record.plan.residencies:
        yield "memory over time", spark([row["memory_bytes"] for row in steps])
        yield "hidden loads", spark([row["hidden_bytes"] for row in steps])
        yield "exposed loads", spark([row["exposed_bytes"] for row in steps])


def _pinned(record: Record) -> str:
    """The largest of them, and how many more there are."""
    by_name = record.problem.by_name
    names = sorted(record.plan.pinned, key=lambda name: (-by_name[name].size_bytes, name))
    shown = ", ".join(names[:_MOST_PINNED_SHOWN])
    more = len(names) - _MOST_PINNED_SHOWN
    return f"{shown} and {more} more" if more > 0 else shown


def spark(values: Sequence[int]) -> str:
    """A row of blocks, as high as the largest of the values that fall into each."""
    columns = min(_SPARK_COLUMNS, len(values))
    edges = [round(i * len(values) / columns) for i in range(columns + 1)]
    highest = [max(values[a:b]) for a, b in pairwise(edges)]
    top = max(highest) or 1
    return "".join(_BLOCKS[-(-value * (len(_BLOCKS) - 1) // top)] for value in highest)


def step_lines(steps: Rows) -> Iterator[str]:
    """The table of ``--steps``."""
    form = "{:>5} {:>10} {:>10} {:>10} {:>11} {:>11} {:>11}  {}"
    yield form.format(
        "step", "start ms", "wait ms", "run ms", "hidden", "exposed", "memory", "longest dispatch"
    )
    for number, row in enumerate(steps):
        times = (f"{row[key] / 1e3:.2f}" for key in ("start_us", "wait_us", "time_us"))
        sizes = (size(row[key]) for key in ("hidden_bytes", "exposed_bytes", "memory_bytes"))
        yield form.format(number, *times, *sizes, row["name"])


def curve_lines(points: Rows) -> Iterator[str]:
    """The table of ``--curve``: budget against latency; nothing without points."""
    if not points:
        return
    form = "{:>12} {:>7} {:>12} {:>10} {:>14} {:>12}"
    is_measured = any("measured_seconds" in point for point in points)
    last = "measured ms" if is_measured else ""
    yield form.format("budget", "share", "latency ms", "slower", "read in a run", last).rstrip()
    for point in points:
        slower = point["predicted_us"] / point["predicted_preloaded_us"] - 1
        yield form.format(
            size(point["budget_bytes"]),
            f"{point['budget_bytes'] / point['weights_bytes']:.0%}",
            f"{point['predicted_us'] / 1e3:.2f}",
            f"{slower:+.0%}",
            size(point["streamed_bytes"]),
            f"{point['measured_seconds'] * 1e3:.2f}" if is_measured else "",
        ).rstrip()


def picture(title: str, record: Record, points: Rows = (), measured_s: float | None = None) -> str:
    """The plan as SVG: memory, loads, what is pinned; with points of the curve, that, too.

    ``measured_s``: what a run under this plan took.
    """
    steps = rows(record)
    pinned = record.plan.pinned_bytes(record.coarse.problem)
    end = max(steps[-1]["start_us"] + steps[-1]["time_us"], 1e-9)
    most = max(record.budget_bytes, *(row["memory_bytes"] for row in steps))
    loads = max(1, *(max(row["hidden_bytes"], row["exposed_bytes"]) for row in steps))
    memory, below = (_panel(top) for top in (_TOP, _TOP + _PANEL + _GAP))
    budget = f"budget {size(record.budget_bytes)}"
    parts = [svg.text(_LEFT, 16, f"{title}: pinned (grey) and streamed (blue) weights, {budget}")]
    for row in steps:
        start, width = row["start_us"] - row["wait_us"], row["wait_us"] + row["time_us"]
        span = (start / end, width / end)
        parts.append(memory.bar(*span, 0, pinned / most, _PINNED))
        parts.append(memory.bar(*span, pinned / most, row["memory_bytes"] / most, _ARENA))
    parts.append(memory.level(record.budget_bytes / most))
    heading = "loads: hidden behind a step (green), exposed (red)"
    parts.append(svg.text(_LEFT, below.top - 12, heading))
    for row in steps:
        hidden = (row["start_us"] / end, row["time_us"] / end)
        exposed = ((row["start_us"] - row["wait_us"]) / end, row["wait_us"] / end)
        parts.append(below.bar(*hidden, 0, row["hidden_bytes"] / loads, _HIDDEN))
        parts.append(below.bar(*exposed, 0, row["exposed_bytes"] / loads, _EXPOSED))
    parts += [*_scale(memory, size(most)), *_scale(below, size(loads))]
    foot = below.bottom + 18
    parts += [svg.text(_LEFT, foot, "0"), svg.text(_WIDTH - 70, foot, milliseconds(end / 1e6))]
    took = milliseconds(record.planned.latency_us / 1e6) + " predicted"
    took += "" if measured_s is None else f", {milliseconds(measured_s)} measured"
    names = _pinned(record) if record.plan.pinned else "nothing"
    parts += [svg.text(_LEFT, foot + 20, took), svg.text(_LEFT, foot + 36, f"pinned: {names}")]
    foot += 36
    if points:
        panel = _panel(foot + 34)
        parts += _curve_parts(panel, points)
        foot = panel.bottom + 18
    return svg.document(_WIDTH, foot + 10, parts)


def _panel(top: float) -> svg.Panel:
    return svg.Panel(_LEFT, top, _WIDTH - _LEFT - 10, _PANEL)


def _scale(panel: svg.Panel, highest: str) -> tuple[str, str]:
    return svg.text(4, panel.top + 10, highest), svg.text(4, panel.bottom, "0")


def _curve_parts(panel: svg.Panel, points: Rows) -> Iterator[str]:
    """Budget against latency: predicted as a line, measured as dots."""
    least, most = points[0]["budget_bytes"], points[-1]["budget_bytes"]
    across = max(most - least, 1)
    predicted = [(p["budget_bytes"], p["predicted_us"]) for p in points]
    measured = [
        (p["budget_bytes"], 1e6 * p["measured_seconds"]) for p in points if "measured_seconds" in p
    ]
    high = max(time_us for _, time_us in [*predicted, *measured])
    heading = "latency by budget: predicted (line)" + (", measured (dots)" if measured else "")
    yield svg.text(_LEFT, panel.top - 12, heading)
    yield panel.line([((b - least) / across, t / high) for b, t in predicted], _ARENA)
    for budget, time_us in measured:
        yield panel.dot((budget - least) / across, time_us / high, _EXPOSED)
    yield from _scale(panel, milliseconds(high / 1e6))
    yield svg.text(_LEFT, panel.bottom + 18, size(least))
    yield svg.text(_WIDTH - 70, panel.bottom + 18, size(most))
