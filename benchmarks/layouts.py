"""What layout work is left of each model of the suite, beside stock IREE: recorded, and as a page.

    python -m smartmem.benchmarks.layouts record [--size tiny] [--target llvmpipe] [MODEL...]
    python -m smartmem.benchmarks.layouts launches [--target llvmpipe] [MODEL...]
    python -m smartmem.benchmarks.layouts page

``record`` compiles to IREE's stream phase, where dispatches and their bytes are counted, three
times: by our passes, with all optional ones turned off, and by stock IREE (its own importer,
default options). ``launches`` compiles the models for which papers print a number of kernels
(``data/launches.toml``), at full size, by our passes alone: up to there no weight is touched, and
most take less than a minute. A model that is recorded already is skipped, so that a run can be
resumed. ``page`` makes the tables of docs/layouts.md: ``make docs`` runs it.
"""

import argparse
import json
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from smartmem.benchmarks.markdown import with_tables
from smartmem.benchmarks.models import suite
from smartmem.errors import SmartmemError
from smartmem.passes.target import Target, resolve

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
PAGE = ROOT / "docs" / "layouts.md"
PUBLISHED = ROOT / "benchmarks" / "data" / "launches.toml"
_FORMAT = "smartmem layouts 1"
_VERSIONED = ("smartmem", "torch", "iree-base-compiler")
_COUNTED = ("dispatches", "layout_dispatches", "layout_bytes", "total_bytes", "copies", "fills")
_LAUNCHES = "smartmem launches 1"


def _counts(stream_ir: str) -> tuple[dict[str, int], Any]:
    from smartmem.passes.iree.count import count

    counts = count(stream_ir)
    held = counts.to_json()
    return {key: int(str(held[key])) for key in _COUNTED}, counts


def _compiled(text: str, target: Target, disabled: Sequence[str]) -> dict[str, Any]:
    """Counts of an imported module after our passes, and what became of its moves."""
    from smartmem.dialects._mlir import ir
    from smartmem.passes import moves, pipeline
    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.iree.driver import compile_stream

    module = ir.Module.parse(text)
    found = moves.number(module)
    pipeline.run(pipeline.without(pipeline.layout_passes(target.kind), disabled), module)
    traced = moves.trace(found, module, target.kind)
    pipeline.run(
        pipeline.without(pipeline.lowering_passes(target.kind, target.kernels), disabled), module
    )
    lowered = module.operation.get_asm(enable_debug_info=True)
    row, counts = _counts(compile_stream(lowered, target, Cache.default()))
    settled = moves.settle(traced, counts.table)
    kept = Counter(move.reason for move in settled if move.fate == "kept")
    fates = Counter(move.fate for move in settled)
    return {
        **row,
        "in_graph": sum(not move.added for move in settled),
        **{fate: fates[fate] for fate in ("removed", "folded", "kept")},
        "kept_because": dict(kept.most_common()),
    }


def _imported(name: str) -> tuple[str, Any, Any]:
    """The module of the model ``name`` (with its size) as text, the model, and its inputs."""
    from smartmem.dialects import layout
    from smartmem.frontend.export import export
    from smartmem.frontend.importer import import_program

    model, inputs = suite.build(name)
    with layout.context():
        program = import_program(export(model, inputs))
        return program.module.operation.get_asm(enable_debug_info=True), model, inputs


def _row(name: str, target: Target) -> dict[str, Any]:
    """All that is recorded of the model ``name`` (with its size) for ``target``."""
    from smartmem.benchmarks.stock import stock_stream_ir
    from smartmem.dialects import layout
    from smartmem.passes.pipeline import optional_passes

    text, model, inputs = _imported(name)
    with layout.context():
        row: dict[str, Any] = {
            "smartmem": _compiled(text, target, ()),
            "passes_off": _compiled(text, target, optional_passes()),
        }
    try:
        row["iree"], _ = _counts(stock_stream_ir(model, inputs, target.device_flags))
    except SmartmemError as error:
        row["iree_error"] = str(error).splitlines()[0]
    return row


def _launches(name: str, target: Target) -> dict[str, Any]:
    """What our passes make of the model ``name`` (with its size) for ``target``."""
    from smartmem.dialects import layout

    text, _, _ = _imported(name)
    with layout.context():
        return _compiled(text, target, ())


def _record(
    file: Path,
    names: Sequence[str],
    size: str,
    target: str,
    kind: str,
    measure: Callable[[str, Target], dict[str, Any]],
) -> None:
    """Record the models that the results file lacks, one by one."""
    rows: dict[str, Any] = (
        json.loads(file.read_text(encoding="utf-8"))["rows"] if file.exists() else {}
    )
    for name in names:
        if name in rows:
            continue
        rows[name] = measure(f"{name}/{size}", resolve(target))
        document = {
            "format": kind,
            "date": datetime.now(UTC).strftime("%Y-%m-%d"),
            "versions": {package: version(package) for package in _VERSIONED},
            "target": target,
            "size": size,
            "rows": dict(sorted(rows.items())),
        }
        file.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
        print(name, flush=True)


def record(names: Sequence[str], target: str, size: str) -> None:
    """Ours, ours without passes, and stock IREE's, of the models named or of all."""
    file = RESULTS / f"layouts-{target}-{size}.json"
    _record(file, names or suite.names(), size, target, _FORMAT, _row)


def record_launches(names: Sequence[str], target: str) -> None:
    """Ours at full size, of the models named or of all that papers print a number for."""
    file = RESULTS / f"launches-{target}.json"
    _record(file, names or list(published()), "full", target, _LAUNCHES, _launches)


def published() -> dict[str, tuple[str, int]]:
    """By model: the paper that prints its number of kernels, and the number."""
    papers = tomllib.loads(PUBLISHED.read_text(encoding="utf-8"))
    return {name: (paper, n) for paper, rows in papers.items() for name, n in rows.items()}


def _share(counts: Mapping[str, Any]) -> str:
    return f"{100 * counts['layout_bytes'] / counts['total_bytes']:.1f} %"


def _table(document: Mapping[str, Any]) -> Iterator[str]:
    yield (
        "| model | moves in the graph | removed, folded, kept | layout dispatches | of all bytes "
        "| dispatches | with passes off | stock IREE | bytes to stock's |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for name, row in document["rows"].items():
        ours, off, stock = row["smartmem"], row["passes_off"], row.get("iree")
        cells = [
            name,
            ours["in_graph"],
            f"{ours['removed']}, {ours['folded']}, {ours['kept']}",
            ours["layout_dispatches"],
            _share(ours),
            ours["dispatches"],
            f"{off['dispatches']} ({off['layout_dispatches']})",
            f"{stock['dispatches']} ({stock['layout_dispatches']})" if stock else "fails",
            f"{ours['total_bytes'] / stock['total_bytes']:.2f}" if stock else "",
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def _reasons(document: Mapping[str, Any]) -> Iterator[str]:
    total: Counter[str] = Counter()
    for row in document["rows"].values():
        total.update(row["smartmem"]["kept_because"])
    yield "| why it is kept | transformations |"
    yield "|---|---|"
    for reason, number in sorted(total.items(), key=lambda item: (-item[1], item[0])):
        yield f"| {reason} | {number} |"


def _section(document: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    compared = [row for row in document["rows"].values() if "iree" in row]
    fewer = sum(r["smartmem"]["dispatches"] < r["iree"]["dispatches"] for r in compared)
    summary = (
        f"{document['date']}, {versions}. Of {len(document['rows'])} models stock IREE compiles "
        f"{len(compared)}; in {fewer} of those ours has fewer dispatches."
    )
    head = f"## {document['target']}, size {document['size']}"
    return "\n".join([head, "", summary, "", *_table(document), "", *_reasons(document)])


def _launches_table(document: Mapping[str, Any]) -> Iterator[str]:
    yield "| model | launches | of them layout | of all bytes | a paper's count | ours to it |"
    yield "|---|---|---|---|---|---|"
    papers = published()
    for name, row in document["rows"].items():
        paper, number = papers[name]
        ours = _launched(row)
        cells = [
            name,
            ours,
            row["layout_dispatches"],
            _share(row),
            f"{number} ({paper})",
            f"{ours / number:.2f}",
        ]
        yield f"| {' | '.join(map(str, cells))} |"


def _launched(row: Mapping[str, Any]) -> int:
    """Dispatches, copies and fills of one call."""
    return row["dispatches"] + row["copies"] + row["fills"]


def _launches_section(document: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {number}" for name, number in document["versions"].items())
    papers, rows = published(), document["rows"]
    within = sum(_launched(row) <= 1.05 * papers[name][1] for name, row in rows.items())
    summary = (
        f"{document['date']}, {versions}. Launches are dispatches, copies and fills. Of "
        f"{len(rows)} models {within} need at most 1.05 times as many as the paper prints."
    )
    head = f"## Launches at full size, {document['target']}"
    return "\n".join([head, "", summary, "", *_launches_table(document)])


def documents() -> list[dict[str, Any]]:
    """All that is recorded, by target and size."""
    return [_read(file) for file in sorted(RESULTS.glob("layouts-*.json"))]


def _read(file: Path) -> dict[str, Any]:
    return json.loads(file.read_text(encoding="utf-8"))


def rendered(page: str) -> str:
    """``page`` with its tables made anew from the recorded results."""
    launches = [_read(file) for file in sorted(RESULTS.glob("launches-*.json"))]
    sections = [
        *(_section(document) for document in documents()),
        *(_launches_section(document) for document in launches),
    ]
    return with_tables(page, "\n\n".join(sections))


def main() -> None:
    """Record, or write the page."""
    parser = argparse.ArgumentParser(prog="python -m smartmem.benchmarks.layouts")
    parser.add_argument("what", choices=("record", "launches", "page"))
    parser.add_argument("models", nargs="*")
    parser.add_argument("--target", default="llvmpipe")
    parser.add_argument("--size", default="tiny", choices=("full", "bench", "tiny"))
    chosen = parser.parse_args()
    if chosen.what == "record":
        record(chosen.models, chosen.target, chosen.size)
    elif chosen.what == "launches":
        record_launches(chosen.models, chosen.target)
    else:
        PAGE.write_text(rendered(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
