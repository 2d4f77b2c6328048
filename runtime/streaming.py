"""How weights moved in the last call of a session with a budget, in numbers and in words.

What is told of overlap comes from intervals: when steps ran on the GPU, and when weights were read
and copied meanwhile, all on one clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

_HOW = {
    "by the host": "the host writes where kernels read, beside them",
    "on a queue of their own": "on a queue of their own, beside kernels",
    "between kernels": "the device has one queue: copies and kernels take turns",
}


def is_told(module: Any) -> bool:
    """Whether the module is of our executor and was given a budget, here or when compiled."""
    return bool(getattr(module, "has_budget", False))


def summary(module: Any) -> dict[str, Any]:
    """The numbers of an ``executor.ExecutorModule`` that was given a budget and has been called.

    Times are milliseconds. ``hidden_ms``: of ``moving_ms``, in which weights were read or copied,
    that in which steps ran, too.
    """
    intervals = module.intervals()
    steps = merged((i.start_ns, i.end_ns) for i in intervals if i.kind == "step")
    moves = merged((i.start_ns, i.end_ns) for i in intervals if i.kind != "step")
    now_bytes, peak_bytes = module.device_memory()
    return {
        **module.stream_stats(),
        "device_bytes": now_bytes,
        "device_peak_bytes": peak_bytes,
        "step_ms": _length_ms(steps),
        "moving_ms": _length_ms(moves),
        "hidden_ms": _length_ms(common(steps, moves)),
    }


def lines(moved: dict[str, Any]) -> list[tuple[str, str]]:
    """The same for people."""
    mib = {name: value / 2**20 for name, value in moved.items() if name.endswith("_bytes")}
    rows = [
        (
            "weights",
            f"budget {mib['budget_bytes']:.1f} MiB of {mib['whole_budget_bytes']:.1f}, smallest "
            f"{mib['smallest_budget_bytes']:.1f}: {mib['fixed_bytes'] + mib['pinned_bytes']:.1f} "
            f"stay, arena {mib['arena_bytes']:.1f}, staging {mib['staging_bytes']:.1f} beside it",
        )
    ]
    if moved["streamed_bytes"] > 0:
        rows += [
            (
                "streamed",
                f"{mib['streamed_bytes']:.1f} MiB in each run, in {moved['steps']} steps",
            ),
            ("copies", _HOW[moved["copies"]]),
            (
                "overlap",
                f"weights moved for {moved['moving_ms']:.2f} ms of the last run, "
                f"{moved['hidden_ms']:.2f} of them while kernels ran ({moved['step_ms']:.2f} ms)",
            ),
        ]
    return rows


def merged(intervals: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Their union, as intervals that do not touch, in order."""
    found: list[tuple[int, int]] = []
    for start, end in sorted(intervals):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return found


def common(a: Sequence[tuple[int, int]], b: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """What two unions have in common."""
    pairs = ((max(x[0], y[0]), min(x[1], y[1])) for x in a for y in b)
    return [(start, end) for start, end in pairs if start < end]


def _length_ms(intervals: Iterable[tuple[int, int]]) -> float:
    return sum(end - start for start, end in intervals) / 1e6
