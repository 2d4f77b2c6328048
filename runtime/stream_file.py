"""``stream.json``: what our executor is told of streaming a target's weights.

    budget_bytes       that the model was compiled with; 0 for none
    read_bytes_per_s   how fast the file is taken to be
    times_ns           of each command of the schedule, as predicted
    plan               {}, or: steps   the first command of each
                               stays   of a weight by its key: loaded in the time of step `start`,
                                       there from step `first` through `last`; in the order of
                                       loading. What has no stay is loaded once.

``native/src/stream_hints.cpp`` reads it. Numbers are integers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Any

VERSION = 1


@dataclass(frozen=True)
class GivenStay:
    """One stay of a weight; ``start``, ``first`` and ``last`` are steps of the plan."""

    weight: str
    start: int
    first: int
    last: int


@dataclass(frozen=True)
class GivenPlan:
    """``steps``: the first command of each."""

    steps: tuple[int, ...]
    stays: tuple[GivenStay, ...]


@dataclass(frozen=True)
class StreamFile:
    """The file's content."""

    read_bytes_per_s: int
    times_ns: tuple[int, ...]
    budget_bytes: int = 0
    plan: GivenPlan | None = None

    def encode(self) -> bytes:
        """The bytes of the file; the same for the same content."""
        content: dict[str, Any] = {
            "version": VERSION,
            "budget_bytes": self.budget_bytes,
            "read_bytes_per_s": self.read_bytes_per_s,
            "times_ns": self.times_ns,
            "plan": {} if self.plan is None else asdict(self.plan),
        }
        return f"{json.dumps(content, sort_keys=True)}\n".encode()
