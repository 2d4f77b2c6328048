"""The order of runs on one device: the most urgent first, equals by arrival or in fair shares."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, Literal

Order = Literal["fifo", "fair"]
ORDERS: tuple[Order, ...] = ("fifo", "fair")

# Arguments and keyword arguments of a call, made when it starts.
Arguments = Callable[[], tuple[tuple[Any, ...], dict[str, Any]]]


@dataclass(frozen=True, eq=False)
class Job:
    """One run that was asked for. The smallest ``rank`` is the most urgent.

    ``due_s``: its deadline in the pool's time; it is given up where it has not started by then.
    """

    model: str
    rank: tuple[float, ...]
    number: int
    arguments: Arguments
    result: Future[Any] = field(default_factory=Future[Any])
    due_s: float | None = None


class Ready:
    """The runs that wait for one device. Not locked: the pool does that.

    "fifo" takes equals in the order of their arrival. "fair" takes the model that has used the
    device least (start-time fair queueing with equal shares: Goyal, Vin and Cheng, SIGCOMM'96), so
    that a model which is asked for often cannot hold up the others; runs of one model stay in
    order. A model that was idle starts at the share of those that were not: it saves nothing up.
    """

    def __init__(self, order: Order) -> None:
        self._order = order
        self._jobs: list[Job] = []
        self._served_s: dict[str, float] = {}
        self._now_s = 0.0

    def __len__(self) -> int:
        return len(self._jobs)

    def push(self, job: Job) -> None:
        """Adds a run."""
        if all(other.model != job.model for other in self._jobs):
            served_s = self._served_s.get(job.model, 0.0)
            self._served_s[job.model] = max(served_s, self._now_s)
        self._jobs.append(job)

    def pop(self) -> Job:
        """Takes the next one out; there must be one."""
        job = min(self._jobs, key=self._key)
        self._jobs.remove(job)
        self._now_s = max(self._now_s, self._served_s[job.model])
        return job

    def served(self, model: str, seconds: float) -> None:
        """Tells how long a run took."""
        self._served_s[model] = self._served_s.get(model, 0.0) + seconds

    def upcoming(self) -> list[str]:
        """The models in the order in which they stand now, each once; cancelled runs left out."""
        waiting = [job for job in self._jobs if not job.result.cancelled()]
        return list(dict.fromkeys(job.model for job in sorted(waiting, key=self._key)))

    def drop(self) -> list[Job]:
        """Takes all of them out."""
        dropped, self._jobs = self._jobs, []
        return dropped

    def _key(self, job: Job) -> tuple[Any, ...]:
        served_s = self._served_s[job.model] if self._order == "fair" else 0.0
        return (job.rank, served_s, job.number)
