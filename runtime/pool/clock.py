"""Releases tasks at their times, hands outputs on, and keeps the books."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import CancelledError, Future
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

from smartmem.errors import UserError
from smartmem.runtime.pool.pool import SCHEDULED, DeadlineMissed, Pool
from smartmem.runtime.pool.ready import Arguments
from smartmem.runtime.pool.tasks import Task, ranks


@dataclass(frozen=True)
class TaskReport:
    """What became of one task. Responses are seconds from the beginning of the period to the end
    of the run. ``missed`` runs ended after their deadline or were given up at it; ``skipped`` ones
    waited for a run that failed or was given up; ``failed`` ones raised ``error``, the first of
    them. ``overran``: runs that took longer than the admission test counted, where there was one:
    with these its promise does not hold.
    """

    model: str
    released: int
    finished: int
    missed: int
    skipped: int
    failed: int
    error: str | None
    responses_s: tuple[float, ...]
    overran: int = 0

    def to_json(self) -> dict[str, Any]:
        """Plain data; of the responses the least, the median and the most."""
        data = {**asdict(self)}
        times = data.pop("responses_s")
        return data | {
            "min_s": min(times, default=None),
            "median_s": median(times) if times else None,
            "max_s": max(times, default=None),
        }


@dataclass(frozen=True)
class Report:
    """``ok``: every run that was released ended in time."""

    seconds: float
    tasks: tuple[TaskReport, ...]

    @property
    def ok(self) -> bool:
        return not any(row.missed or row.skipped or row.failed for row in self.tasks)

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {
            "ok": self.ok,
            "seconds": self.seconds,
            "tasks": [row.to_json() for row in self.tasks],
        }


@dataclass(eq=False)
class _Book:
    """What is noted of one task while the clock runs."""

    released: int = 0
    missed: int = 0
    skipped: int = 0
    failed: int = 0
    error: str | None = None
    responses_s: list[float] = field(default_factory=list[float])


@dataclass(eq=False)
class _Pending:
    """One run that waits for others of its period: those that have not ended, and the outputs of
    those that have.
    """

    missing: set[str]
    outputs: dict[str, Any] = field(default_factory=dict[str, Any])


class Clock:
    """Runs ``tasks`` (each after those it waits for) on the pool for so many ``seconds``.

    ``call`` gives what makes the arguments of a run, given the outputs it waited for.
    """

    def __init__(
        self,
        pool: Pool,
        tasks: Mapping[str, Task],
        lanes: Mapping[str, str],
        call: Callable[[str, Mapping[str, Any]], Arguments],
        seconds: float,
        newest: dict[str, Any],
    ) -> None:
        self._pool, self._lanes, self._call, self._seconds = pool, lanes, call, seconds
        self._tasks = {name: task for name, task in tasks.items() if task.is_periodic}
        self._newest = newest
        self._ranks = ranks(self._tasks.values())
        self._books = {name: _Book() for name in self._tasks}
        self._pending: dict[tuple[str, int], _Pending] = {}
        self._open = 0
        self._began_s = 0.0
        # Reentrant: what ends can release what waited for it, which can end at once.
        self._changed = threading.Condition(threading.RLock())

    def forecast(self) -> list[str]:
        """The tasks in the order in which they come: those that wait for others of their period,
        then by their next release.
        """
        waiting = [name for name, _ in list(self._pending)]
        return list(dict.fromkeys([*waiting, *sorted(self._tasks, key=self._next_s)]))

    def run(self) -> Report:
        """Returns when all that was released has ended."""
        self._began_s = self._pool.now()
        with self._changed:
            while (at_s := min(map(self._next_s, self._tasks))) < self._seconds:
                left_s = self._began_s + at_s - self._pool.now()
                if left_s > 0:
                    self._changed.wait(left_s)
                    continue
                for name in self._tasks:
                    if self._next_s(name) == at_s:
                        self._release(name)
            self._changed.wait_for(lambda: not self._open)
            return Report(
                self._pool.now() - self._began_s,
                tuple(self._reported(name, book) for name, book in self._books.items()),
            )

    def _reported(self, name: str, book: _Book) -> TaskReport:
        return TaskReport(
            name,
            book.released,
            len(book.responses_s),
            book.missed,
            book.skipped,
            book.failed,
            book.error,
            tuple(book.responses_s),
        )

    def _period_s(self, name: str) -> float:
        return self._tasks[name].period_s or 0.0

    def _next_s(self, name: str) -> float:
        return self._books[name].released * self._period_s(name)

    def _release(self, name: str) -> None:
        """A new period begins for the task."""
        book = self._books[name]
        number, book.released = book.released, book.released + 1
        self._open += 1
        after = self._tasks[name].after
        if after:
            self._pending[name, number] = _Pending(set(after))
        else:
            self._start(name, number, {})

    def _start(self, name: str, number: int, outputs: dict[str, Any]) -> None:
        due_s = self._began_s + number * self._period_s(name) + self._tasks[name].due_s

        def done(result: Future[Any]) -> None:
            self._end(name, number, result, self._pool.now())

        try:
            self._pool.enqueue(
                name,
                (SCHEDULED, self._ranks[name]),
                self._call(name, outputs),
                lane=self._lanes[name],
                due_s=due_s,
                done=done,
            )
        except UserError as error:
            self._fail(name, number, error)

    def _end(self, name: str, number: int, result: Future[Any], now_s: float) -> None:
        """A run has ended; called by the pool's workers."""
        response_s = now_s - self._began_s - number * self._period_s(name)
        error = CancelledError("cancelled") if result.cancelled() else result.exception()
        with self._changed:
            book = self._books[name]
            if isinstance(error, DeadlineMissed):
                book.missed += 1
                self._close(name, number)
            elif error is not None:
                self._fail(name, number, error)
            else:
                book.responses_s.append(response_s)
                book.missed += response_s > self._tasks[name].due_s
                self._newest[name] = result.result()
                self._close(name, number, result)

    def _fail(self, name: str, number: int, error: BaseException) -> None:
        book = self._books[name]
        book.failed += 1
        book.error = book.error or f"{type(error).__name__}: {error}"
        self._close(name, number)

    def _close(self, name: str, number: int, result: Future[Any] | None = None) -> None:
        """Hands the outputs to those that wait for them; without any they are skipped."""
        self._open -= 1
        for other, task in self._tasks.items():
            waiting = self._pending.get((other, number))
            if name not in task.after or waiting is None:
                continue
            if result is None:
                del self._pending[other, number]
                self._books[other].skipped += 1
                self._close(other, number)
                continue
            waiting.missing.discard(name)
            waiting.outputs[name] = result.result()
            if not waiting.missing:
                del self._pending[other, number]
                self._start(other, number, waiting.outputs)
        self._changed.notify_all()
