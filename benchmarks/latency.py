"""How far predicted latencies are from measured ones, for models that the cost model has not seen.

    python -m smartmem.benchmarks.latency benchmarks/results/latency-llvmpipe.json

leaves each model of the shipped tables out in turn, fits to the others, predicts it, writes what
came out, and renders it into docs/latency.md.
"""

import argparse
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from statistics import median
from typing import Any

from smartmem.benchmarks.markdown import with_tables
from smartmem.passes.tuning.facts import Step
from smartmem.passes.tuning.latency import LatencyTable, Measured, for_target

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "latency.md"


def left_out(table: LatencyTable) -> Iterator[dict[str, Any]]:
    """Each model of the table, predicted from the others."""
    for name, measured in table.models.items():
        predicted = table.without(name).predict(_steps(measured))
        fitted = table.predict(_steps(measured))
        yield {
            "model": name,
            "measured_ms": round(measured.call_us / 1e3, 3),
            "predicted_ms": round(predicted.milliseconds, 3),
            "error": round(predicted.milliseconds * 1e3 / measured.call_us - 1, 4),
            "error_of_the_fit": round(fitted.milliseconds * 1e3 / measured.call_us - 1, 4),
            "dispatches": sum(s.calls for s in measured.samples),
            "time_seen_elsewhere": round(predicted.measured_share, 3),
        }


def _steps(measured: Measured) -> list[Step]:
    return [Step(s.facts, s.calls, None, s.facts.key) for s in measured.samples]


def record(table: LatencyTable) -> dict[str, Any]:
    """The errors of all models of a table, and their median."""
    rows = list(left_out(table))
    return {
        "family": table.family,
        "iree": table.iree,
        "sources": [dict(source) for source in table.sources],
        "method": "each model left out in turn; error is predicted over measured, less one",
        "median_absolute_error": round(median(abs(row["error"]) for row in rows), 4),
        "models": rows,
    }


def tables(data: Mapping[str, Any]) -> Iterator[str]:
    """The generated part of the page."""
    devices = "; ".join(f"{s['device']}, {s['driver']}, {s['date']}" for s in data["sources"])
    yield f"{devices}, IREE {data['iree']}. {data['method']}."
    yield ""
    yield (
        f"Median absolute error of {len(data['models'])} models: "
        f"{100 * data['median_absolute_error']:.1f} %."
    )
    yield ""
    yield "| model | measured ms | predicted ms | error | dispatches | time in the others' table |"
    yield "|---|---|---|---|---|---|"
    for row in data["models"]:
        yield (
            f"| {row['model']} | {row['measured_ms']:.2f} | {row['predicted_ms']:.2f} "
            f"| {100 * row['error']:+.0f} % | {row['dispatches']} "
            f"| {100 * row['time_seen_elsewhere']:.0f} % |"
        )


def rendered(page: str, data: Mapping[str, Any]) -> str:
    """``page`` with its tables made anew."""
    return with_tables(page, "\n".join(tables(data)))


def main() -> None:
    """Measure the shipped table of the file's family, write the file, render the page."""
    parser = argparse.ArgumentParser("python -m smartmem.benchmarks.latency", description=__doc__)
    parser.add_argument("file", type=Path, help="the results to write")
    parser.add_argument("--family", default="llvmpipe")
    parser.add_argument("--render", action="store_true", help="the page only")
    options = parser.parse_args()
    if not options.render:
        data = record(for_target(options.family))
        options.file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    data = json.loads(options.file.read_text(encoding="utf-8"))
    PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8"), data), encoding="utf-8")


if __name__ == "__main__":
    main()
