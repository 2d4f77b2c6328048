"""Tasks released by the clock: a static graph of models with periods and deadlines.

    schedule = Schedule(pool, tasks, feeds)
    schedule.admit().demand()           # an error where a deadline may be missed
    report = schedule.run(seconds=10.0)

Where the weights of all tasks fit the pool together they are loaded first and stay, and each device
is a processor of its own. Where they do not, models take turns in memory: then all tasks run one
after another, and a run counts with its load and one more, since the next model may be on its way
in when a more urgent one is released.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from smartmem.errors import UserError
from smartmem.runtime.pool.admission import Admission, admit
from smartmem.runtime.pool.clock import Clock, Report
from smartmem.runtime.pool.pool import SCHEDULED, Pool
from smartmem.runtime.pool.ready import Arguments
from smartmem.runtime.pool.tasks import Task, check_tasks
from smartmem.runtime.pool.timeline import Event

# What makes the arguments of a run, of the outputs of the tasks that it takes outputs of, by name.
Feed = Callable[[Mapping[str, Any]], tuple[tuple[Any, ...], dict[str, Any]]]

# One lane for all devices, where models take turns in memory.
_TURNS = "all devices in turn"
# Measured runs of each task; the slowest counts.
_MEASURED_RUNS = 5


class Schedule:
    """``tasks`` of models that the pool has. ``feeds`` makes the arguments of each; a task without
    one is called without arguments.

    Until its run ends, models that are no tasks cannot be asked for. Raises UserError for tasks
    that make no sense.
    """

    def __init__(
        self, pool: Pool, tasks: Sequence[Task], feeds: Mapping[str, Feed] | None = None
    ) -> None:
        for task in tasks:
            pool.check_known(task.model)
        self._pool, self._tasks = pool, check_tasks(tasks)
        self._feeds = dict(feeds or {})
        self.takes_turns = not pool.memory.fits(self._tasks)
        self._lanes = {
            name: _TURNS if self.takes_turns else pool.memory.source(name).device
            for name in self._tasks
        }
        self._newest: dict[str, Any] = {}
        self._counted_s: dict[str, float] = {}

    def admit(self, margin: float = 2.0, runs: int = _MEASURED_RUNS) -> Admission:
        """Whether all deadlines can be met. What a run takes is measured where its task does not
        say it, and so is what loading takes where models take turns. The slowest measurement counts
        ``margin`` times, since none has seen the slowest run.

        Raises what a run raises.
        """
        slowest, loading = self._measure(runs)
        times_s = {
            name: task.time_s if task.time_s is not None else margin * slowest[name]
            for name, task in self._tasks.items()
        }
        if self.takes_turns:
            most = max(loading.values(), default=0.0)
            times_s = {name: s + margin * (loading[name] + most) for name, s in times_s.items()}
        return self.admit_times(times_s)

    def admit_times(self, times_s: Mapping[str, float]) -> Admission:
        """The same for known times, by model, in which loads are counted; measures nothing."""
        self._counted_s = dict(times_s)
        return admit(list(self._tasks.values()), self._lanes, times_s)

    def run(self, seconds: float) -> Report:
        """Releases the tasks for so long, then waits until what was released has ended.

        What fails or is late is in the report, and stops nothing else. Raises UserError where
        another schedule runs, and what the first run of a model raises.
        """
        if not seconds > 0:
            raise UserError(f"a schedule of {seconds} s")
        clock = Clock(self._pool, self._tasks, self._lanes, self._call, seconds, self._newest)
        self._pool.restrict(self._refusal, clock.forecast)
        try:
            if not self.takes_turns:
                self._pool.memory.pin(self._tasks)
            # Everything is in memory then, and every output that somebody may take is there.
            for name in self._tasks:
                self._once(name)
            began = len(self._pool.timeline)
            report = clock.run()
            over = self._overran(self._pool.timeline[began:])
            rows = (replace(row, overran=over.get(row.model, 0)) for row in report.tasks)
            return replace(report, tasks=tuple(rows))
        finally:
            self._pool.memory.pin(())
            self._pool.restrict()

    def _measure(self, runs: int) -> tuple[dict[str, float], dict[str, float]]:
        """The slowest of so many runs of each task by itself, and of its loads; in seconds."""
        slowest: dict[str, float] = {}
        loading: dict[str, float] = {}
        try:
            if not self.takes_turns:
                self._pool.memory.pin(self._tasks)
            # Devices are opened with the first load, and the first run is slower: no schedule
            # begins with these.
            for name in self._tasks:
                self._once(name)
            for name in self._tasks:
                began = len(self._pool.timeline)
                for _ in range(runs):
                    if self.takes_turns:
                        self._pool.memory.drop_idle()
                    self._once(name)
                events = [e for e in self._pool.timeline[began:] if e.model == name]
                times = [e.end_s - e.start_s for e in events if e.kind == "run"]
                loads = [e.end_s - e.start_s for e in events if e.kind in ("load", "prefetch")]
                slowest[name], loading[name] = max(times), max(loads, default=0.0)
        finally:
            self._pool.memory.pin(())
        return slowest, loading

    def _overran(self, events: Sequence[Event]) -> Counter[str]:
        """How many runs of each task took longer, with the load before them, than was counted."""
        over: Counter[str] = Counter()
        loading_s: dict[str, float] = {}
        for event in events:
            took_s = event.end_s - event.start_s
            if event.kind == "load":
                loading_s[event.model] = took_s
            elif event.kind == "run" and event.model in self._counted_s:
                took_s += loading_s.pop(event.model, 0.0)
                over[event.model] += took_s > self._counted_s[event.model]
        return over

    def _once(self, name: str) -> None:
        task = self._tasks[name]
        outputs = {other: self._newest[other] for other in task.after}
        call = self._call(name, outputs)
        self._newest[name] = self._pool.enqueue(
            name, (SCHEDULED, -math.inf), call, lane=self._lanes[name]
        ).result()

    def _call(self, name: str, outputs: Mapping[str, Any]) -> Arguments:
        """What makes the arguments of a run of a task, given those it waited for."""

        def arguments() -> tuple[tuple[Any, ...], dict[str, Any]]:
            if name not in self._feeds:
                return (), {}
            newest = {other: self._newest[other] for other in self._tasks[name].latest}
            return self._feeds[name]({**newest, **outputs})

        return arguments

    def _refusal(self, name: str) -> str | None:
        """Why a model may not be asked for while the schedule runs."""
        if name not in self._tasks:
            return "it is none of the tasks of the schedule that runs"
        if self.takes_turns:
            return "the models of the schedule that runs take turns in memory"
        return None
