"""What ``streaming_bars`` measured, against the bars: as text and for the documentation."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from statistics import geometric_mean, median
from typing import Any

from smartmem.benchmarks.markdown import table

_MIB = 1 << 20
_STAGING_MOST = 16 * _MIB
# Of the largest dispatch's weights and staging: what the smallest budget may be.
_OVER_LARGEST = 1.1


def tables(data: Mapping[str, Any]) -> Iterator[str]:
    """What was found, model by model, then each bar."""
    rows = _measured(data)
    head = (
        "model",
        "weights MiB",
        "smallest MiB",
        "largest dispatch MiB",
        "auto MiB",
        "times less",
    )
    yield table((*head, "average, times less", "same bits"), (_cells(row) for row in rows))
    for row in data["rows"]:
        if "failed" in row:
            yield f"{row['model']}: {row['failed']}"
    for name, found, wanted, is_met in bars(data):
        yield f"{'met   ' if is_met else 'MISSED'} {name}: {found} (bar: {wanted})"


def page(data: Mapping[str, Any]) -> Iterator[str]:
    """The same for the documentation; of times only where they were measured more than once."""
    lines = list(tables(data))
    yield lines[0]
    yield from (f"{line}\n" for line in lines[1 : 1 + _failures(data)])
    rounds = min((len(runs) for r in _measured(data) for runs in r["ways"].values()), default=0)
    rows = [
        (name, found, wanted, "yes" if is_met else "NO")
        for name, found, wanted, is_met in bars(data, with_times=rounds > 1)
    ]
    yield table(("bar", "found", "wanted", "met"), rows)


def _measured(data: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [row for row in data["rows"] if "failed" not in row]


def _failures(data: Mapping[str, Any]) -> int:
    return len(data["rows"]) - len(_measured(data))


def _cells(row: Mapping[str, Any]) -> list[str]:
    sizes = (row["whole_budget_bytes"], row["smallest_budget_bytes"], row["largest_command_bytes"])
    peak = _of(row, "auto", "weights_peak_bytes")
    return [
        row["model"],
        *(f"{size / _MIB:.2f}" for size in (*sizes, peak)),
        f"{_of(row, 'all', 'weights_peak_bytes') / peak:.2f}",
        f"{_average_gain(row):.2f}",
        "yes" if has_same_bits(row) else "NO",
    ]


def has_same_bits(row: Mapping[str, Any]) -> bool:
    """Whether all ways of our executor gave the same outputs."""
    ours = [way for way in row["ways"] if "iree" not in way]
    return len({run["outputs"] for way in ours for run in row["ways"][way]}) == 1


def _of(row: Mapping[str, Any], way: str, what: str) -> float:
    return median(run[what] for run in row["ways"][way])


def _average_gain(row: Mapping[str, Any]) -> float:
    return _of(row, "all", "average_device_bytes") / _of(row, "auto", "average_device_bytes")


def bars(
    data: Mapping[str, Any], *, with_times: bool = True
) -> Iterator[tuple[str, str, str, bool]]:
    """Each bar with what was found, what is wanted, and whether that is met."""
    rows = _measured(data)
    if rows:
        yield from _memory_bars(rows)
    if rows and with_times:
        yield from _time_bars(rows)
    for plan in data.get("planner", {}).get("plans", ()):
        found = f"{plan['seconds']:.0f} s, gap {100 * plan['gap']:.1f} %"
        yield "planner, GPTNeo-2.7B's size", found, "150 s", plan["seconds"] <= 150


def _memory_bars(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, bool]]:
    less = geometric_mean(
        _of(r, "all", "weights_peak_bytes") / _of(r, "auto", "weights_peak_bytes") for r in rows
    )
    yield "weight memory at the default budget, geometric mean", f"{less:.2f}", ">= 3", less >= 3
    average = geometric_mean(map(_average_gain, rows))
    yield "device memory on average, geometric mean", f"{average:.2f}", "told", True
    over = max(
        (row["smallest_budget_bytes"])
        / (row["largest_command_bytes"] + _of_streaming(row, "smallest", "staging_bytes"))
        for row in rows
    )
    wanted = f"<= {_OVER_LARGEST}"
    yield (
        "smallest budget over largest dispatch and staging",
        f"{over:.3f}",
        wanted,
        (over <= _OVER_LARGEST),
    )
    staging = max(_of_streaming(row, "half", "staging_bytes") for row in rows)
    yield "staging", f"{staging / _MIB:.1f} MiB", "<= 16 MiB", staging <= _STAGING_MOST
    same = all(map(has_same_bits, rows))
    yield "outputs", "the same bits" if same else "DIFFER", "the same bits", same


def _of_streaming(row: Mapping[str, Any], way: str, what: str) -> float:
    return max(run["streaming"][what] for run in row["ways"][way])


def _time_bars(rows: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, str, str, bool]]:
    """Only times of a quiet machine mean anything."""
    yield _ratio("warm, all fits", (_warm(r, "100%") / _warm(r, "all") for r in rows), 1.05)
    yield _ratio("warm at half over preloaded or reading", map(_over_half, rows), 1.15)
    busy = geometric_mean(_of(r, "half", "cpu_s") / _of(r, "all", "cpu_s") for r in rows)
    yield "processor time at half over preloaded, geometric mean", f"{busy:.2f}", "told", True
    gain = geometric_mean(_warm(r, "next layer") / _warm(r, "half") for r in rows)
    yield "warm at half, next-layer prefetch over it", f"{gain:.2f}", ">= 2", gain >= 2
    yield _ratio("cold at auto over start-up, and load or run", map(_cold, rows), 1.15)
    yield _faster(rows, "all", "auto", 1)
    stock = [row for row in rows if "stock iree cpu" in row["ways"]]
    if stock:
        yield _faster(stock, "stock iree cpu", "iree cpu, auto", 2)


def _faster(
    rows: Sequence[Mapping[str, Any]], other: str, ours: str, least: float
) -> tuple[str, str, str, bool]:
    """How much longer another cold start is than ours."""
    found = geometric_mean(_of(r, other, "cold_s") / _of(r, ours, "cold_s") for r in rows)
    return f"cold start, {other} over {ours}", f"{found:.2f}", f">= {least}", found >= least


def _ratio(name: str, values: Iterable[float], most: float) -> tuple[str, str, str, bool]:
    worst = max(values)
    return f"{name}, worst", f"{worst:.2f}", f"<= {most}", worst <= most


def _warm(row: Mapping[str, Any], way: str) -> float:
    return _of(row, way, "warm_s")


def _over_half(row: Mapping[str, Any]) -> float:
    read_s = _of_streaming(row, "half", "streamed_bytes") / _of(row, "half", "read_bytes_per_s")
    return _warm(row, "half") / max(_warm(row, "all"), read_s)


def _cold(row: Mapping[str, Any]) -> float:
    """Load time is what preloading takes to open the model, compute time its warm run."""
    least = max(_of(row, "all", "load_s"), _warm(row, "all")) + _of(row, "auto", "startup_s")
    return _of(row, "auto", "cold_s") / least
