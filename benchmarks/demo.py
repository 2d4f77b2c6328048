"""``make demo``: two real models through smartmem, on the CPU and on Vulkan, each compared with
eager PyTorch.

MiniLM embeds a few dozen sentences with its real weights and answers some queries; Swin-T
classifies an image with seeded weights. What is printed is also written to ``out/demo/demo.json``.
"""

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console

import smartmem
from smartmem.benchmarks import sentences
from smartmem.benchmarks.models import suite
from smartmem.runtime.devices import Device, find, list_devices

OUT = Path("out/demo")
TOLERANCE = 1e-4


@dataclass(frozen=True)
class Row:
    """One model on one device; ``difference`` is the relative L2 distance from eager over all
    outputs.
    """

    model: str
    device: str
    target: str
    compile_s: float
    cold_ms: float
    warm_ms: float
    eager_ms: float
    difference: float
    layout_ops_before: int
    layout_dispatches_after: int
    dispatches: int
    kept: tuple[str, ...]
    path: str


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = time.perf_counter()
    result = call()
    return result, 1e3 * (time.perf_counter() - started)


def _warm(call: Callable[[], Any], budget_s: float = 3.0) -> float:
    """Median milliseconds of as many calls as fit the budget, one at least."""
    times: list[float] = []
    while not times or (sum(times) < 1e3 * budget_s and len(times) < 20):
        times.append(_timed(call)[1])
    return float(np.median(times))


def _flat(value: Any) -> list[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        return [value]
    items = value.values() if isinstance(value, dict) else value
    return [tensor for item in items for tensor in _flat(item)]


def _difference(ours: Any, eager: Any) -> float:
    pairs = zip(_flat(ours), _flat(eager), strict=True)
    return max(float((a - b).norm() / b.norm()) for a, b in pairs)


def _kept(report: dict[str, Any]) -> tuple[str, ...]:
    """The layout work that is left, by kind and line of the model: how often, and bytes written."""
    groups: dict[tuple[str, str], list[int]] = {}
    for work in report["table"]:
        if work["kind"] != "compute":
            place = work["location"] or "no line known"
            groups.setdefault((work["kind"], place), []).append(work["written_bytes"])
    return tuple(
        f"{len(sizes)} x {kind}, {sum(sizes) / 1e6:.2f} MB, {place}"
        for (kind, place), sizes in groups.items()
    )


def measure(
    name: str, model: torch.nn.Module, inputs: tuple[Any, ...], device: Device, console: Console
) -> tuple[Row, Any]:
    """Compile ``model`` for ``device``, run it cold and warm, compare with eager; the row and the
    session.
    """
    path = OUT / f"{name}.smartmem"
    with console.status(f"{name} for {device.target}") as status:
        compiled, compile_ms = _timed(
            lambda: smartmem.compile(
                model, inputs, targets=(device.target,), out=path, progress=status.update
            )
        )
        status.update(f"{name} on {device.name}")

        def start() -> Any:
            session = smartmem.load(path, device=device.uri)
            return session, session(*inputs)

        (session, ours), cold_ms = _timed(start)
        warm_ms = _warm(lambda: session(*inputs))
        with torch.no_grad():
            eager = model(*inputs)
            eager_ms = _warm(lambda: model(*inputs))
    report = compiled.reports[device.target]
    row = Row(
        model=name,
        device=device.name,
        target=device.target,
        compile_s=compile_ms / 1e3,
        cold_ms=cold_ms,
        warm_ms=warm_ms,
        eager_ms=eager_ms,
        difference=_difference(ours, eager),
        layout_ops_before=report["layout_ops_in_graph"],
        layout_dispatches_after=report["layout_dispatches"],
        dispatches=report["dispatches"],
        kept=_kept(report),
        path=str(path),
    )
    return row, session


def _show(row: Row, console: Console) -> None:
    """One block per model and device; narrow enough for any terminal."""
    before, after = row.layout_ops_before, row.layout_dispatches_after
    lines = [
        f"\n{row.model} on {row.device} (target {row.target})",
        f"  compiled in {row.compile_s:.1f} s, {row.dispatches} dispatches",
        f"  cold {row.cold_ms:.0f} ms, warm {row.warm_ms:.1f} ms (eager {row.eager_ms:.1f} ms)",
        f"  relative L2 difference from eager: {row.difference:.1e}",
        f"  layout transformations: {before} in the graph, {after} dispatches left",
        *(f"    kept: {line}" for line in row.kept),
        f"  artefact: {row.path}",
    ]
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)


def search(model: torch.nn.Module, session: Any, device: Device, console: Console) -> float:
    """Embed the corpus and the queries with ``session`` and with eager, print the search; the
    largest difference.
    """
    corpus, queries = sentences.lines("sentences"), sentences.lines("queries")
    with console.status(f"embedding {len(corpus) + len(queries)} sentences on {device.name}"):
        batches = sentences.tokenised([*corpus, *queries])
        ours = sentences.embeddings(session, batches)
        with torch.no_grad():
            eager = sentences.embeddings(model, batches)
    found = sentences.nearest(ours[len(corpus) :], ours[: len(corpus)])
    expected = sentences.nearest(eager[len(corpus) :], eager[: len(corpus)])
    console.print(f"\nnearest of {len(corpus)} sentences, by MiniLM on {device.name}:")
    for query, (row, cosine), (same, _) in zip(queries, found, expected, strict=True):
        note = "" if row == same else f"   (eager: {corpus[same]})"
        console.print(
            f"  {query:38} {cosine:.2f}  {corpus[row]}{note}", highlight=False, soft_wrap=True
        )
    return float(np.abs(ours - eager).max())


def _devices() -> tuple[list[Device], str | None]:
    """The CPU and the best Vulkan device; why there is none where there is none."""
    vulkan = [d for d in list_devices() if d.kind != "cpu"]
    if vulkan:
        return [find("cpu"), vulkan[0]], None
    return [find("cpu")], "no Vulkan device here: showing the CPU only. " + (
        "Install one with: apt-get install libvulkan1 mesa-vulkan-drivers"
    )


def main() -> int:
    """Run the demo; 0 where every difference from eager is within the tolerance."""
    console = Console()
    OUT.mkdir(parents=True, exist_ok=True)
    devices, missing = _devices()
    if missing:
        console.print(missing, style="yellow")
    rows: list[Row] = []
    embedding_differences: dict[str, float] = {}
    model, inputs = suite.build("minilm")
    for device in devices:
        row, session = measure("minilm", model, inputs, device, console)
        rows.append(row)
        embedding_differences[device.name] = search(model, session, device, console)
    model, inputs = suite.build("swin-tiny")
    for device in devices:
        rows.append(measure("swin-tiny", model, inputs, device, console)[0])
    for row in rows:
        _show(row, console)
    document = {"rows": [asdict(r) for r in rows], "embedding_differences": embedding_differences}
    (OUT / "demo.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    wrong = [r for r in rows if not r.difference <= TOLERANCE]
    for row in wrong:
        console.print(
            f"WRONG: {row.model} on {row.device} differs by {row.difference:.1e}", style="red"
        )
    return 3 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
