"""Rows as lines for a terminal."""

from smartmem.benchmarks.bench.results import Row


def line(row: Row) -> str:
    """One row: its times where the answer was right, else what is wrong."""
    what = f"{row.model}/{row.size} on {row.device}: {row.contender}"
    variant = f" ({row.variant})" if row.variant else ""
    return f"{what}{variant}: {verdict(row)}"


def verdict(row: Row) -> str:
    """What the row says of its contender."""
    if row.status == "wrong":
        return f"WRONG ({row.reason})"
    if row.status != "ok" or row.warm_ms is None:
        return row.reason if row.status == "not installed" else f"{row.status}: {row.reason}"
    warm = row.warm_ms
    parts = [
        f"warm {warm.median:.2f} ms ({warm.min:.2f} to {warm.max:.2f}, {warm.runs} runs, "
        f"A/A {100 * warm.spread:.0f} %)",
        f"cold {row.load_ms or 0:.0f} + {row.first_ms or 0:.0f} ms",
        f"relative L2 {row.relative_l2:.1e}",
    ]
    if "dispatches" in row.counts:
        layout = row.counts["layout_dispatches"]
        parts.append(f"{row.counts['dispatches']} dispatches, {layout} layout")
    if row.peak_host_bytes is not None:
        parts.append(f"{row.peak_host_bytes >> 20} MiB")
    if row.runs_on != row.device:
        parts.append(f"runs on {row.runs_on}")
    return ", ".join(parts)
