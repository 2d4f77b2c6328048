"""What happened in a pool: as data, and as text."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

Kind = Literal["load", "prefetch", "evict", "run", "fail", "miss"]

# What a column of the text shows: that of its events which stands first here.
_MARKS: dict[Kind, str] = {
    "fail": "!",
    "miss": "x",
    "run": "█",
    "load": "▒",
    "prefetch": "░",
    "evict": "-",
}


@dataclass(frozen=True)
class Event:
    """What happened to a model, in seconds since the pool began.

    "load" delayed a run, "prefetch" stood beside one. "fail" is a run or a load that raised an
    error, "miss" a run that ended, or was given up, after its deadline: it ends there.
    ``held_bytes`` is what all models in memory count after it, those being loaded included.
    """

    kind: Kind
    model: str
    start_s: float
    end_s: float
    held_bytes: int
    device: str = ""

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


def text_lines(events: Sequence[Event], columns: int = 72) -> Iterator[str]:
    """A row for each model over time, and one for the memory held; nothing without events."""
    if not events:
        return
    begin = min(event.start_s for event in events)
    span_s = max(max(event.end_s for event in events) - begin, 1e-9)
    models = list(dict.fromkeys(event.model for event in events))
    width = max(*map(len, models), len("held"))
    for model in models:
        row = [" "] * columns
        for kind in reversed(_MARKS):
            for event in events:
                if event.model == model and event.kind == kind:
                    # An evicted or late model is marked where that ended.
                    start_s = event.end_s if kind in ("evict", "miss") else event.start_s
                    first, last = (
                        min(columns - 1, int((at - begin) / span_s * columns))
                        for at in (start_s, event.end_s)
                    )
                    row[first : last + 1] = _MARKS[kind] * (last + 1 - first)
        yield f"{model.ljust(width)} |{''.join(row)}|"
    yield f"{'held'.ljust(width)} |{_held(events, begin, span_s, columns)}|"
    legend = ", ".join(f"{mark} {kind}" for kind, mark in _MARKS.items())
    yield f"{' ' * width}  {span_s:.3f} s; {legend}"


def _held(events: Sequence[Event], begin: float, span_s: float, columns: int) -> str:
    """The most memory held in each column, in blocks of an eighth of the most at all."""
    blocks = " ▁▂▃▄▅▆▇█"
    top = max(event.held_bytes for event in events) or 1
    most, level = [0] * columns, 0
    changes = sorted((event.end_s, event.held_bytes) for event in events)
    position = 0
    for column in range(columns):
        end = begin + span_s * (column + 1) / columns
        most[column] = level
        while position < len(changes) and changes[position][0] <= end:
            level = changes[position][1]
            most[column] = max(most[column], level)
            position += 1
    return "".join(blocks[-(-size * (len(blocks) - 1) // top)] for size in most)
