"""Our executor by kind of memory: ``python -m smartmem.benchmarks.executor FILE NAME...``.

Each model of the suite is compiled once per way of reading weights (``--storage``). The sessions
run in turn, several times over, so that all of them see the same machine; the first outputs are
compared with eager's and, bit by bit, with those of the artefact that reads buffers. Beside that
stand what was counted in the SPIR-V, the barriers, and the scratch memory of a call with what
stock IREE's module allocates for one. ``--count`` compiles for images only and counts: for targets
that are not at hand. ``--scratch`` records scratch memory only, of every model that is named.
``docs/executor.md`` is rendered from the recorded file: ``--render``.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from smartmem.benchmarks.bench.results import commit
from smartmem.benchmarks.markdown import with_tables
from smartmem.cli.output import size

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "executor.md"
_STORAGES = ("buffer", "texel", "image")
_KINDS = ("image", "texel", "whole_texel")
_ROUNDS = 9


def main(argv: Sequence[str] | None = None) -> int:
    """Measures models, or renders the page."""
    parser = argparse.ArgumentParser(prog="smartmem.benchmarks.executor", description=__doc__)
    parser.add_argument("file", type=Path, help="the results: read, added to, and written")
    parser.add_argument("names", nargs="*", help="models of the suite, NAME/SIZE")
    parser.add_argument("--target", default="llvmpipe")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--count", action="store_true", help="count only, run nothing")
    how.add_argument("--scratch", action="store_true", help="scratch memory beside stock IREE's")
    parser.add_argument("--render", action="store_true", help="write the page")
    options = parser.parse_args(argv)
    for name in options.names:
        data = json.loads(options.file.read_text(encoding="utf-8")) if options.file.exists() else {}
        kind, make = "rows", measure
        if options.count or options.scratch:
            kind, make = ("counted", count) if options.count else ("scratch", scratch)
        row = make(name, options.target)
        same = (row["model"], row["target"])
        rows = [r for r in data.get(kind, []) if (r["model"], r["target"]) != same]
        made_by = {"iree": version("iree-base-compiler"), "commit": commit()}
        data = {"counted": [], "rows": [], "scratch": [], **data, **made_by, kind: [*rows, row]}
        options.file.write_text(json.dumps(data, indent=1) + "\n", encoding="utf-8")
    if options.render:
        render(json.loads(options.file.read_text(encoding="utf-8")))
    return 0


def measure(name: str, target: str) -> dict[str, Any]:
    """One model under all kinds of memory."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model
    from smartmem.runtime.session import load
    from smartmem.verify import verify

    model, inputs = suite.build(name)
    arrays = [tensor.numpy() for tensor in inputs]
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        made = {
            storage: compile_model(
                model, inputs, targets=(target,), out=Path(folder) / storage, storage=storage
            )
            for storage in _STORAGES
        }
        sessions = {s: load(m.path, target, executor="smartmem") for s, m in made.items()}
        verify(sessions["buffer"], model, inputs).raise_on_mismatch()
        wanted = sessions["buffer"].run_flat(arrays)
        same = {
            storage: all(map(np.array_equal, session.run_flat(arrays), wanted))
            for storage, session in sessions.items()
        }
        times: dict[str, list[float]] = {storage: [] for storage in _STORAGES}
        for _ in range(_ROUNDS):
            for storage, session in sessions.items():
                session.run_flat(arrays)
                times[storage].append(_module(session).times()["gpu_ms"])
        stats = {storage: _module(session).stats() for storage, session in sessions.items()}
        device = sessions["buffer"].device
    return {
        "model": name,
        "target": target,
        "device": device.name,
        "driver": device.driver,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
        "storages": {
            storage: {
                "same_bits": same[storage],
                "gpu_ms": times[storage],
                "device_weights_bytes": stats[storage]["weights_bytes"],
                **{k: v for k, v in _storage(made[storage], target).items() if k != "weights"},
            }
            for storage in _STORAGES
        },
    }


def scratch(name: str, target: str) -> dict[str, Any]:
    """One model's commands and scratch memory, and stock IREE's."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model
    from smartmem.runtime.session import load

    model, inputs = suite.build(name)
    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        made = compile_model(model, inputs, targets=(target,), out=Path(folder) / "model.smartmem")
        stats = _module(load(made.path, target, executor="smartmem")).stats()
    return {
        "model": name,
        "target": target,
        **{key: stats[key] for key in ("commands", "barriers", "kernels", "transient_bytes")},
        "stock_transient_bytes": _stock_transient_bytes(model, inputs, target),
    }


def count(name: str, target: str) -> dict[str, Any]:
    """Where one model's weights are read from, with images where they can be."""
    from smartmem.benchmarks.models import suite
    from smartmem.compiler import compile_model

    with tempfile.TemporaryDirectory(prefix="smartmem-") as folder:
        out = Path(folder) / "model.smartmem"
        made = compile_model(*suite.build(name), targets=(target,), out=out, storage="image")
    return {"model": name, "target": target, **_storage(made, target)}


def _module(session: Any) -> Any:
    """The executor's own face, which tells times."""
    return session.module


def _storage(made: Any, target: str) -> Mapping[str, Any]:
    return made.reports[target]["storage"]


def _stock_transient_bytes(model: Any, inputs: Any, target: str) -> int | None:
    """The scratch memory of one call of stock IREE's module; None where it compiles none."""
    from smartmem.benchmarks.stock import stock_stream_ir
    from smartmem.errors import SmartmemError
    from smartmem.passes.iree import count as counter
    from smartmem.passes.target import resolve

    try:
        text = stock_stream_ir(model, inputs, resolve(target).device_flags)
    except SmartmemError:
        return None
    return int(counter.count(text).to_json()["peak_transient_bytes"])


def render(data: Mapping[str, Any]) -> None:
    """Writes the tables into the page, between its marks."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(with_tables(page, "\n".join(tables(data))), encoding="utf-8")


def tables(data: Mapping[str, Any]) -> Iterator[str]:
    """Times by kind of memory; what is read from where; scratch memory and barriers."""
    rows = sorted(data["rows"], key=lambda row: (row["target"], row["model"]))
    yield ""
    yield "| model | target | buffers, ms | texel buffers | images | the same bits |"
    yield "|---|---|---|---|---|---|"
    for row in rows:
        held = row["storages"]
        ms = " | ".join(f"{median(held[s]['gpu_ms']):.3g}" for s in _STORAGES)
        same = "yes" if all(held[s]["same_bits"] for s in _STORAGES) else "no"
        yield f"| {row['model']} | {row['target']} | {ms} | {same} |"
    yield ""
    yield "| model | target | weights | in images | in texel buffers | whole texels, undivided |"
    yield "|---|---|---|---|---|---|"
    measured = [{**row["storages"]["image"], **row} for row in rows]
    for row in sorted([*data["counted"], *measured], key=lambda row: row["model"]):
        shares = (row[f"{kind}_bytes"] / row["of_bytes"] for kind in _KINDS)
        cells = " | ".join(f"{100 * share:.1f} %" for share in shares)
        yield f"| {row['model']} | {row['target']} | {size(row['of_bytes'])} | {cells} |"
    yield ""
    yield "| model | commands | barriers | pipelines | scratch memory | stock IREE's |"
    yield "|---|---|---|---|---|---|"
    for row in sorted(data["scratch"], key=lambda row: (row["target"], row["model"])):
        stock = row["stock_transient_bytes"]
        yield (
            f"| {row['model']} | {row['commands']} | {row['barriers']} | {row['kernels']} "
            f"| {size(row['transient_bytes'])} | {'-' if stock is None else size(stock)} |"
        )


if __name__ == "__main__":
    raise SystemExit(main())
