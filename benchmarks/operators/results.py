"""Outcomes counted by entry, and the file they are recorded in."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from smartmem.benchmarks.operators.claims import claims
from smartmem.benchmarks.operators.judge import Outcome

_VERSIONED = ("smartmem", "torch", "iree-base-compiler", "iree-base-runtime")


@dataclass(frozen=True)
class Row:
    """An entry of the database: how many of its samples ended how, and why some did not pass.

    ``commit`` is smartmem's, where it is known.
    """

    op: str
    samples: int
    counts: Mapping[str, int]
    reasons: Mapping[str, int] = field(default_factory=dict)
    commit: str = ""

    @property
    def passes(self) -> bool:
        """Whether every sample that is of smartmem's types passed, and there was one."""
        return self.counts.get("passed", 0) > 0 and not set(self.counts) - {"passed", "outside"}


def rows(outcomes: Iterable[Outcome], ops: Sequence[str]) -> list[Row]:
    """One row per entry of ``ops``, those without samples included."""
    by_op: dict[str, list[Outcome]] = {op: [] for op in ops}
    for outcome in outcomes:
        by_op[outcome.sample.op].append(outcome)
    return [_row(op, found) for op, found in by_op.items()]


def _row(op: str, outcomes: Sequence[Outcome]) -> Row:
    reasons = Counter(f"{o.status}: {o.detail}" for o in outcomes if o.status != "passed")
    counts = Counter(o.status for o in outcomes)
    return Row(op, len(outcomes), dict(counts), dict(reasons.most_common()))


def failures(found: Sequence[Row]) -> list[Row]:
    """Claimed entries that do not hold what is claimed."""
    return [row for row in found if row.op in claims().family_of and not row.passes]


def record(found: Sequence[Row], path: Path, *, commit: str, **how: Any) -> None:
    """Write the rows with versions, date and how they were got."""
    stamped = [replace(row, commit=commit) for row in found]
    _write(path, _document(stamped, **how))


def amend(found: Sequence[Row], path: Path, *, commit: str, seconds: float, **how: Any) -> None:
    """Put the rows of entries judged anew in place of theirs, or behind all others; without a file,
    begin one.
    """
    before = recorded(path) if path.is_file() else {"seconds": 0, "rows": [], **how}
    stamped = [replace(row, commit=commit) for row in found]
    rows = {row.op: row for row in (*before["rows"], *stamped)}
    how = {name: before[name] for name in how} | {"seconds": round(before["seconds"] + seconds)}
    _write(path, _document(list(rows.values()), **how))


def _document(rows: Sequence[Row], **how: Any) -> dict[str, Any]:
    return {
        "what": "samples of PyTorch's operator database, compiled in batches, against eager",
        "date": datetime.now(UTC).date().isoformat(),
        "versions": {name: version(name) for name in _VERSIONED},
        **how,
        "rows": [asdict(row) for row in rows],
    }


def _write(path: Path, document: Mapping[str, Any]) -> None:
    path.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def recorded(path: Path) -> dict[str, Any]:
    """What ``record`` wrote, with the rows as values."""
    document = json.loads(path.read_text(encoding="utf-8"))
    return {**document, "rows": [Row(**row) for row in document["rows"]]}
