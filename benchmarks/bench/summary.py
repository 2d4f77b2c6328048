"""The table in README.md: smartmem beside its peers on real GPUs, from recorded documents alone.

Of each model and size the newest record counts, with the peers of that same run.
"""

from collections.abc import Mapping, Sequence

from smartmem.benchmarks.bench.peers import OURS
from smartmem.benchmarks.bench.results import Document, Row
from smartmem.benchmarks.markdown import NONE, table

_PEERS = {
    "inductor": "TorchInductor (CUDA)",
    "eager": "eager (CUDA)",
    "iree": "stock IREE",
    "ncnn": "ncnn",
}
_HEAD = (
    "model",
    OURS,
    *_PEERS.values(),
    "kernels (stock IREE)",
    "layout work (stock IREE)",
)
# The contenders of one model in one run.
Run = Mapping[str, Row]


def summary(documents: Sequence[Document]) -> str:
    """A table for each GPU on which smartmem was right."""
    return "\n".join(
        _section(device, facts, runs)
        for device, facts in _gpus(documents).items()
        if (runs := _newest(documents, device))
    )


def _gpus(documents: Sequence[Document]) -> dict[str, dict[str, str]]:
    return {
        name: facts
        for document in documents
        for name, facts in document.devices.items()
        if facts["kind"] == "gpu"
    }


def _newest(documents: Sequence[Document], device: str) -> dict[tuple[str, str], Run]:
    """The newest run of each model and size on ``device`` that has peers, in order of names."""
    runs: dict[tuple[str, str], dict[str, Row]] = {}
    for document in documents:
        found: dict[tuple[str, str], dict[str, Row]] = {}
        for row in document.rows:
            if row.device == device:
                found.setdefault((row.model, row.size), {})[row.contender] = row
        for key, run in found.items():
            if not _counts(run):
                continue
            if key not in runs or runs[key][OURS].measured < run[OURS].measured:
                runs[key] = run
    return dict(sorted(runs.items()))


def _counts(run: Run) -> bool:
    return OURS in run and run[OURS].status == "ok" and any(name in run for name in _PEERS)


def _section(device: str, facts: Mapping[str, str], runs: Mapping[tuple[str, str], Run]) -> str:
    lines = [
        [
            model if size == "full" else f"{model}, {size}",
            *(_warm(run.get(name)) for name in (OURS, *_PEERS)),
            _counted(run, "dispatches"),
            _counted(run, "layout_dispatches"),
        ]
        for (model, size), run in runs.items()
    ]
    return (
        f"{device}, {facts['driver']}, {facts['api']}: a warm call in ms (median), kernels "
        "launched in it, and how many of these only move or fill data.\n\n" + table(_HEAD, lines)
    )


def _warm(row: Row | None) -> str:
    if row is None:
        return NONE
    if row.warm_ms is None:
        return "wrong" if row.status == "wrong" else "fails"
    return f"{row.warm_ms.median:.3g}"


def _counted(run: Run, what: str) -> str:
    """smartmem's count, and stock IREE's where that was right, too."""
    stock = run.get("iree")
    beside = f" ({stock.counts[what]})" if stock is not None and what in stock.counts else ""
    return f"{run[OURS].counts[what]}{beside}"
