"""What a tuning database gains on whole models: compiled with it and without, called in turn.

    python -m smartmem.benchmarks.tuning benchmarks/results/tuning-llvmpipe.json swin-tiny/bench ...

adds a row for each model to the file. ``python -m smartmem.benchmarks.kernels`` renders it.
"""

import argparse
import json
import tempfile
from datetime import UTC, datetime
from importlib.metadata import version
from math import inf
from pathlib import Path
from typing import Any

from smartmem.benchmarks.bench.results import commit
from smartmem.benchmarks.models import suite
from smartmem.compiler import compile_model
from smartmem.runtime.devices import find
from smartmem.runtime.kernel_run import clock_of
from smartmem.runtime.session import load
from smartmem.tuning.profile import call_us
from smartmem.verify import tensors, verify

_ROUNDS = 15


def measure(name: str, device_name: str, tuning: str) -> dict[str, Any]:
    """One model with and without the database, in turn, both compared with eager."""
    device = find(device_name)
    model, inputs = suite.build(name)
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        made = {
            wish: compile_model(
                model, inputs, targets=(device.target,), out=Path(folder) / side, tuning=wish
            )
            for side, wish in (("rule", "off"), ("tuned", tuning))
        }
        sessions = {wish: load(m.path, device.uri, executor="smartmem") for wish, m in made.items()}
        error: dict[str, float] = {}
        for wish, session in sessions.items():
            report = verify(session, model, inputs)
            report.raise_on_mismatch()
            error[wish] = max(row.relative_l2 for row in report.outputs)
            session.run_flat(tensors(inputs))
        clock = clock_of(device.uri)
        least = dict.fromkeys(sessions, inf)
        for _ in range(_ROUNDS):
            for wish, session in sessions.items():
                least[wish] = min(least[wish], call_us(session, clock))
        used = made[tuning].reports[device.target]["tuning"]
    return {
        "model": name,
        "target": device.target,
        "device": device.name,
        "driver": device.driver,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "clock": clock,
        "database": used["database"],
        "tuned_dispatches": used["dispatches"],
        "rule_ms": round(least["off"] / 1e3, 3),
        "tuned_ms": round(least[tuning] / 1e3, 3),
        "relative_l2": {"rule": error["off"], "tuned": error[tuning]},
    }


def main() -> None:
    """Measure the models named and add them to the file."""
    parser = argparse.ArgumentParser("python -m smartmem.benchmarks.tuning", description=__doc__)
    parser.add_argument("file", type=Path, help="the results: read, added to, and written")
    parser.add_argument("names", nargs="+", help="models of the suite, NAME/SIZE")
    parser.add_argument("--device", default="llvmpipe")
    parser.add_argument("--tuning", default="auto", help="the database to measure")
    options = parser.parse_args()
    for name in options.names:
        held = json.loads(options.file.read_text("utf-8")) if options.file.exists() else {}
        row = measure(name, options.device, options.tuning)
        same = (row["model"], row["target"])
        rows = [r for r in held.get("models", []) if (r["model"], r["target"]) != same]
        data = {"iree": version("iree-base-compiler"), "commit": commit(), "models": [*rows, row]}
        options.file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
