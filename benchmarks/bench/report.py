"""``python -m smartmem.benchmarks.bench.report``: docs/performance.md from benchmarks/results, with
its pictures in docs/performance/, and the table in README.md.

Every number there comes from a recorded document; nothing is typed by hand.
"""

import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from smartmem.benchmarks import ablation
from smartmem.benchmarks.bench import overhead, results
from smartmem.benchmarks.bench.harness import AGAIN
from smartmem.benchmarks.bench.peers import OURS, PEERS
from smartmem.benchmarks.bench.plot import speedups
from smartmem.benchmarks.bench.results import Document, Row
from smartmem.benchmarks.bench.summary import summary
from smartmem.benchmarks.markdown import NONE, table, with_tables

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "performance.md"
README = ROOT / "README.md"
PICTURES = ROOT / "docs" / "performance"

_HEAD = """# Measured

Made by `make bench-report` from the documents in `benchmarks/results/`, and from nothing else.
How it is measured, and what the words mean: [benchmarking.md](benchmarking.md).
"""

# Formats of other files that add to the page, in the order of their sections.
OTHERS = (overhead.FORMAT, ablation.FORMAT)
Overheads = Mapping[str, Mapping[str, Any]]
# A row's cell in one table.
Cell = Callable[[Row], str]


@dataclass(frozen=True)
class _Quantity:
    """What a picture compares: the end of its file's name, a word for it, and that of a row."""

    suffix: str
    word: str
    of: Callable[[Row], float | None]


_WARM = _Quantity("", "times", lambda row: row.warm_ms.median if row.warm_ms else None)
_COLD = _Quantity("cold", "cold starts", lambda row: _cold_ms(row))
_MEMORY = _Quantity("memory", "memory", lambda row: row.peak_host_bytes)
_LAUNCHES = _Quantity("launches", "launches", lambda row: row.counts.get("dispatches"))
_LAYOUT = _Quantity("layout", "layout bytes", lambda row: row.counts.get("layout_bytes"))
_QUANTITIES = (_WARM, _COLD, _MEMORY, _LAUNCHES, _LAYOUT)


def pictures(documents: Sequence[Document]) -> dict[str, str]:
    """The pictures by file name."""
    return {
        _picture_name(document, device, size, quantity): speedups(ratios, _names(ratios))
        for document in documents
        for (device, size), rows in _groups(document).items()
        for quantity in _QUANTITIES
        if (ratios := _ratios(rows, quantity))
    }


def render(
    documents: Sequence[Document],
    overheads: Overheads | None = None,
    ablations: Overheads | None = None,
) -> str:
    """The page; ``overheads`` are the files of ``run.py --overhead`` by name, ``ablations`` those
    of benchmarks/ablation.py.
    """
    sections = [_document(document) for document in documents if document.rows]
    sections += [_overhead(name, data) for name, data in (overheads or {}).items()]
    sections += [ablation.section(name, data) for name, data in (ablations or {}).items()]
    return "\n".join([_HEAD, *(sections or ["Nothing is recorded yet.\n"])])


def _document(document: Document) -> str:
    """One file: its machine, then a group of tables for each device and size."""
    assert document.path is not None
    blocks = [f"## {document.path.stem}\n", _conditions(document)]
    for (device, size), rows in _groups(document).items():
        blocks.append(f"### {device}, `{size}` sizes\n")
        shown = {
            quantity: f"![{quantity.word} of others over smartmem's]"
            f"({PICTURES.name}/{_picture_name(document, device, size, quantity)})\n"
            for quantity in _QUANTITIES
            if _ratios(rows, quantity)
        }
        blocks.append(_tables(rows, shown))
    return "\n".join(blocks)


def _overhead(name: str, data: Mapping[str, Any]) -> str:
    """One file: what a call on our executor costs beside the GPU's own time."""
    rows = data["rows"]
    devices = ", ".join(dict.fromkeys(f"{row['device']} ({row['driver']})" for row in rows))
    head = [
        "model",
        "GPU",
        "polling",
        "polling, inputs in place",
        "blocking",
        "commands, barriers",
        "pipelines",
        "relative L2",
    ]
    lines = [
        [
            f"{row['model']}, {row['size']}",
            f"{row['poll']['gpu_ms']:.3f}",
            f"{row['poll']['host_ms']:.3f}",
            f"{row['poll_in_place']['host_ms']:.3f}",
            f"{row['block']['host_ms']:.3f}",
            f"{row['stats']['commands']}, {row['stats']['barriers']}",
            f"{row['stats']['pipelines_ms']:.0f}",
            f"{row['relative_l2']:.1e}",
        ]
        for row in rows
    ]
    return "\n".join(
        [
            f"## {name}\n",
            f"Our executor alone in its process on {devices}, commit {data['commit']}. In ms, "
            "medians: the GPU's time of a call, what a call takes beside it by each way of "
            "waiting, and the making of pipelines without a cache.\n",
            table(head, lines),
        ]
    )


def _groups(document: Document) -> dict[tuple[str, str], list[Row]]:
    """The rows by device and size."""
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in document.rows:
        groups.setdefault((row.device, row.size), []).append(row)
    return groups


def _picture_name(document: Document, device: str, size: str, quantity: _Quantity) -> str:
    assert document.path is not None
    text = f"{document.path.stem} {device} {size} {quantity.suffix}"
    words = re.findall("[A-Za-z0-9]+", text)
    return f"{'-'.join(words)}.svg"


def _ratios(rows: Sequence[Row], quantity: _Quantity) -> dict[str, dict[str, float]]:
    """By model and contender, the contender's quantity over smartmem's; right answers only, and
    none where either is 0.
    """
    ratios: dict[str, dict[str, float]] = {}
    for model, found in _by_model(rows).items():
        right = {name: quantity.of(row) for name, row in found.items() if row.status == "ok"}
        values = {name: value for name, value in right.items() if value}
        others = [name for name in PEERS if name in values and name != OURS]
        if OURS in values and others:
            ratios[model] = {name: values[name] / values[OURS] for name in others}
    return ratios


def _names(ratios: dict[str, dict[str, float]]) -> list[str]:
    return [name for name in PEERS if any(name in row for row in ratios.values())]


def _conditions(document: Document) -> str:
    host = document.machine
    loads = [row.load_average for row in document.rows if row.load_average is not None]
    days = sorted({row.measured[:10] for row in document.rows if row.measured})
    commits = sorted({row.commit for row in document.rows if row.commit})
    devices = [
        f"- {name}: {facts['kind']}, {facts['driver']}, {facts['api']}, target `{facts['target']}`"
        for name, facts in document.devices.items()
    ]
    lines = [
        f"- host: {host['processor']}, {host['cores']} cores, {host['memory_gib']} GiB, "
        f"{host['system']}, Python {host['python']}",
        *devices,
        f"- measured {_span(days)} at commit {', '.join(commits)}; load average of the host "
        f"{_span([f'{load:.1f}' for load in sorted(loads)])}",
        f"- {', '.join(f'{name} {version}' for name, version in document.versions.items())}",
    ]
    if max(loads, default=0.0) > int(host["cores"]):
        lines.append("- **the host had more to do than it has cores: these times tell little**")
    return "\n".join(lines) + "\n"


def _span(values: Sequence[str]) -> str:
    if not values:
        return "unknown"
    return values[0] if values[0] == values[-1] else f"{values[0]} to {values[-1]}"


def _tables(rows: Sequence[Row], shown: Mapping[_Quantity, str]) -> str:
    """All tables of one device and size, each after its pictures ``shown``."""
    order = [OURS, AGAIN, *PEERS]
    found = {row.contender for row in rows}
    busy = {row.contender for row in rows if row.busy_ms is not None}
    contenders = [name for name in dict.fromkeys(order) if name in found]
    blocks = [
        *([shown[_WARM]] if _WARM in shown else []),
        "Warm, ms: median (fastest to slowest); A/A is the spread within smartmem's own runs.\n",
        _warm_table(rows, contenders),
    ]
    for title, cell, names, quantities in (
        (
            "Of a warm call the device computes, ms, by its own clock.",
            _busy,
            [name for name in contenders if name in busy],
            (),
        ),
        ("Cold, ms: load + first call.", _cold, contenders, (_COLD,)),
        ("Peak memory of the process, MiB.", _memory, contenders, (_MEMORY,)),
        ("Compile time, s.", _compile_time, contenders, ()),
        (
            "Kernels launched in one call (distinct ones); of these, layout work "
            "alone (with copies and fills), and what that moves, MB.",
            _work,
            [name for name in contenders if name in (OURS, "iree")],
            (_LAUNCHES, _LAYOUT),
        ),
        ("Relative L2 distance from eager.", _distance, contenders, ()),
    ):
        if names:
            drawn = [shown[quantity] for quantity in quantities if quantity in shown]
            blocks += [*drawn, f"{title}\n", _table(rows, names, cell)]
    notes = [_note(row) for row in rows if row.status != "ok" or row.variant]
    return "\n".join([*blocks, *(["\n".join(notes) + "\n"] if notes else [])])


def _by_model(rows: Sequence[Row]) -> dict[str, dict[str, Row]]:
    models: dict[str, dict[str, Row]] = {}
    for row in rows:
        models.setdefault(row.model, {})[row.contender] = row
    return dict(sorted(models.items()))


def _table(rows: Sequence[Row], contenders: Sequence[str], cell: Cell) -> str:
    lines = [
        [model, *(cell(found[name]) if name in found else NONE for name in contenders)]
        for model, found in _by_model(rows).items()
    ]
    return table(["model", *contenders], lines)


def _warm_table(rows: Sequence[Row], contenders: Sequence[str]) -> str:
    ratios = _ratios(rows, _WARM)
    lines = [
        [
            model,
            *(_warm(found[name]) if name in found else NONE for name in contenders),
            _spread(found.get(OURS)),
            _gain(ratios.get(model, {})),
        ]
        for model, found in _by_model(rows).items()
    ]
    return table(["model", *contenders, "A/A", "against the fastest other"], lines)


def _warm(row: Row) -> str:
    if row.warm_ms is None:
        return "**WRONG**" if row.status == "wrong" else row.status
    warm = row.warm_ms
    return f"{warm.median:.3g} ({warm.min:.3g} to {warm.max:.3g})"


def _spread(row: Row | None) -> str:
    return NONE if row is None or row.warm_ms is None else f"{100 * row.warm_ms.spread:.0f} %"


def _gain(ratios: dict[str, float]) -> str:
    """How many times as fast as the fastest other contender smartmem is."""
    if not ratios:
        return NONE
    best = min(ratios, key=lambda name: ratios[name])
    return f"{ratios[best]:.2f} x ({best})"


def _cold_ms(row: Row) -> float | None:
    return None if row.load_ms is None or row.first_ms is None else row.load_ms + row.first_ms


def _cold(row: Row) -> str:
    if row.load_ms is None or row.first_ms is None:
        return NONE
    return f"{row.load_ms:.0f} + {row.first_ms:.0f}"


def _busy(row: Row) -> str:
    return NONE if row.busy_ms is None else f"{row.busy_ms:.3g}"


def _memory(row: Row) -> str:
    if row.peak_host_bytes is None:
        return NONE
    device = f", device {row.device_bytes / 2**20:.0f}" if row.device_bytes else ""
    return f"{row.peak_host_bytes / 2**20:.0f}{device}"


def _compile_time(row: Row) -> str:
    return NONE if row.compile_s is None else f"{row.compile_s:.1f}"


def _work(row: Row) -> str:
    if "dispatches" not in row.counts:
        return NONE
    counts = row.counts
    megabytes = counts["layout_bytes"] / 1e6
    kernels = f" ({counts['kernels']})" if "kernels" in counts else ""
    return f"{counts['dispatches']}{kernels}, {counts['layout_dispatches']}, {megabytes:.2f}"


def _distance(row: Row) -> str:
    """None where it is not what is wrong: NaN, or an answer that is the same for all inputs."""
    if row.relative_l2 is None:
        return NONE
    if row.status == "wrong" and row.relative_l2 <= (row.tolerance or 0.0):
        return NONE
    return f"{row.relative_l2:.1e}"


def _note(row: Row) -> str:
    """Why there is no time, or which variant the time is of and what became of the others."""
    if row.status != "ok":
        return f"- {row.model}, {row.contender}: {row.status}: {_one_line(row.reason)}"
    bad: dict[str, list[str]] = {}
    for candidate in row.candidates:
        if candidate["status"] != "ok":
            bad.setdefault(candidate["status"], []).append(f"`{candidate['name']}`")
    others = "".join(f"; {status}: {', '.join(names)}" for status, names in bad.items())
    return f"- {row.model}, {row.contender}: best is {row.variant}{others}"


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|").replace("<", "&lt;")[:300]


def recorded(folder: Path) -> list[Document]:
    """The documents of `smartmem bench` in ``folder``; other results lie there, too."""
    files = sorted(folder.glob("*.json"))
    ours = [f for f in files if json.loads(f.read_text("utf-8")).get("format") == results.FORMAT]
    return [results.read(file) for file in ours]


def recorded_as(form: str, folder: Path) -> Overheads:
    """The files of another format in ``folder``, by name."""
    found = {
        file.stem: json.loads(file.read_text("utf-8")) for file in sorted(folder.glob("*.json"))
    }
    return {name: data for name, data in found.items() if data.get("format") == form}


def main() -> int:
    """Write the page, its pictures and the table in README.md anew."""
    documents = recorded(RESULTS)
    PICTURES.mkdir(exist_ok=True)
    for old in PICTURES.glob("*.svg"):
        old.unlink()
    for name, picture in pictures(documents).items():
        (PICTURES / name).write_text(picture, encoding="utf-8")
    others = (recorded_as(form, RESULTS) for form in OTHERS)
    PAGE.write_text(render(documents, *others), encoding="utf-8")
    readme = README.read_text(encoding="utf-8")
    README.write_text(with_tables(readme, summary(documents)), encoding="utf-8")
    print(PAGE, README, sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
