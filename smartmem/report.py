"""The layout report of one target of a bundle, as data, for `smartmem report` and `explain`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from smartmem.errors import UserError

if TYPE_CHECKING:
    from smartmem.runtime.bundle import Bundle

Row = Mapping[str, Any]

FATES = ("kept", "folded", "removed")


def layout_report(bundle: Bundle, target: str) -> dict[str, Any]:
    """Sums, the transformations, the layout kernels that are left, and every tensor's layout.

    Raises UserError for a bundle of a version that recorded none.
    """
    report = bundle.report(target)
    if "transformations" not in report:
        raise UserError(
            f"{bundle.path}: target {target} has no record of its layout transformations",
            hint="An older version wrote it: compile the model again.",
        )
    moves: list[Row] = report["transformations"]
    left = [row for row in report["table"] if row["kind"] != "compute"]
    return {
        "sums": {
            "in_graph": sum(not move["added"] for move in moves),
            "added": sum(move["added"] for move in moves),
            **{fate: sum(move["fate"] == fate for move in moves) for fate in FATES},
            "bytes_before": sum(move["bytes_before"] for move in moves),
            "bytes_after": report["layout_bytes"],
            "layout_dispatches": report["layout_dispatches"],
        },
        "transformations": moves,
        "storage": report.get("storage", {}),
        "kernels": [{**row, "why": reasons(moves, row["location"])} for row in left],
        "tensors": bundle.plan(target)["layouts"],
        "fusion": bundle.plan(target).get("fusion", []),
    }


def line_of(at: str) -> str:
    """`file:line` of `file:line (module)`."""
    return at.partition(" (")[0]


def reasons(moves: Iterable[Row], line: str | None) -> list[str]:
    """Why the transformations of one Python line were not removed, each reason once."""
    mine = (m["reason"] for m in moves if m["fate"] != "removed" and line_of(m["at"]) == line)
    return list(dict.fromkeys(mine))


def grouped(moves: Sequence[Row]) -> list[tuple[Row, int]]:
    """Transformations that differ in nothing a reader sees, once, with their number; those kept
    first, then by bytes.
    """
    counts = Counter((m["fate"], m["op"], m["at"], m["reason"]) for m in moves)
    sizes: Counter[tuple[str, str, str, str]] = Counter()
    first: dict[tuple[str, str, str, str], Row] = {}
    for move in moves:
        key = (move["fate"], move["op"], move["at"], move["reason"])
        sizes[key] += move["bytes_before"]
        first.setdefault(key, move)
    order = sorted(first, key=lambda key: (FATES.index(key[0]), -sizes[key], key))
    return [({**first[key], "bytes_before": sizes[key]}, counts[key]) for key in order]


def matching(rows: Iterable[Row], wanted: str) -> list[Row]:
    """The rows that ``wanted`` names: an op (`conv`), a Python line or a part of it (`swin.py:47`),
    or a module path (`layers.0.attn`).
    """
    return [row for row in rows if wanted == row["op"] or wanted in row["at"]]
