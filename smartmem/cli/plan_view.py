"""What ``smartmem plan`` shows of a plan: numbers by step, lines of text, a picture.

The picture is plain SVG: memory over time above, loads against dispatches below, on one time axis.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import accumulate, pairwise
from typing import Any
from xml.sax.saxutils import escape

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
    form = "{:>12} {:>7} {:>12} {:>10} {:>14}"
    yield form.format("budget", "share", "latency ms", "slower", "read in a run")
    for point in points:
        slower = point["predicted_us"] / point["predicted_preloaded_us"] - 1
        yield form.format(
            size(point["budget_bytes"]),
            f"{point['budget_bytes'] / point['weights_bytes']:.0%}",
            f"{point['predicted_us'] / 1e3:.2f}",
            f"{slower:+.0%}",
            size(point["streamed_bytes"]),
        )


def picture(title: str, record: Record) -> str:
    """The plan as SVG."""
    steps = rows(record)
    pinned = record.plan.pinned_bytes(record.coarse.problem)
    end = max(steps[-1]["start_us"] + steps[-1]["time_us"], 1e-9)
    most = max(record.budget_bytes, *(row["memory_bytes"] for row in steps))
    loads = max(1, *(max(row["hidden_bytes"], row["exposed_bytes"]) for row in steps))
    parts = [_text(_LEFT, 16, f"{title}: weight memory, budget {size(record.budget_bytes)}")]
    for row in steps:
        start = row["start_us"] - row["wait_us"]
        span = (start / end, (row["wait_us"] + row["time_us"]) / end)
        parts.append(_bar(span, 0, pinned / most, _TOP, _PINNED))
        parts.append(_bar(span, pinned / most, row["memory_bytes"] / most, _TOP, _ARENA))
    parts.append(_level(record.budget_bytes / most, _TOP))
    below = _TOP + _PANEL + _GAP
    parts.append(_text(_LEFT, below - 12, "loads: hidden behind a step (green), exposed (red)"))
    for row in steps:
        hidden = (row["start_us"] / end, row["time_us"] / end)
        exposed = ((row["start_us"] - row["wait_us"]) / end, row["wait_us"] / end)
        parts.append(_bar(hidden, 0, row["hidden_bytes"] / loads, below, _HIDDEN))
        parts.append(_bar(exposed, 0, row["exposed_bytes"] / loads, below, _EXPOSED))
    for top, label in ((_TOP, size(most)), (below, size(loads))):
        parts.append(_text(4, top + 10, label))
        parts.append(_text(4, top + _PANEL, "0"))
    foot = below + _PANEL + 18
    parts += [_text(_LEFT, foot, "0"), _text(_WIDTH - 70, foot, milliseconds(end / 1e6))]
    attributes = f'width="{_WIDTH}" height="{foot + 10}" font-family="sans-serif" font-size="11"'
    body = "\n".join(['<rect width="100%" height="100%" fill="white"/>', *parts])
    return f'<svg xmlns="http://www.w3.org/2000/svg" {attributes}>\n{body}\n</svg>\n'


def _bar(span: tuple[float, float], low: float, high: float, top: float, colour: str) -> str:
    """A rectangle in a panel, all in fractions of it."""
    across = _WIDTH - _LEFT - 10
    x, width = _LEFT + span[0] * across, span[1] * across
    y, height = top + (1 - high) * _PANEL, (high - low) * _PANEL
    return (
        f'<rect x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}" fill="{colour}"/>'
    )


def _level(high: float, top: float) -> str:
    y = top + (1 - high) * _PANEL
    return f'<line x1="{_LEFT}" y1="{y:.2f}" x2="{_WIDTH - 10}" y2="{y:.2f}" stroke="black"/>'


def _text(x: float, y: float, text: str) -> str:
    return f'<text x="{x}" y="{y}">{escape(text)}</text>'
