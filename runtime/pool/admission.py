"""Whether all deadlines can be met, told before anything starts.

Runs cannot be interrupted, so each device is scheduled by fixed priorities without preemption. The
test is the response-time analysis of Davis, Burns, Bril and Lukkien, "Controller Area Network (CAN)
schedulability analysis: Refuted, revisited and revised" (Real-Time Systems 35, 2007, section 3),
which looks at every run of a busy period, since the first need not be the slowest one. What waits
for another device is released late by that one's response time: its jitter, as in Tindell and
Clark, "Holistic schedulability analysis for distributed hard real-time systems" (1994), repeated
until nothing changes. The test is sufficient: what it admits meets its deadlines as long as no run
takes longer than its time; what it refuses might.

Two things are ours. A task and those of its own device that it waits for, on that device alone, are
one task of all their times: from the moment they can begin there is always one that is ready. And
one that waits for the task delays it at most once for each of the task's own runs in the busy
period, since its deadline lies within the period: earlier ones have ended, or missed before.

Equals are counted as if each went before the other, so the order among equals does not matter.
Times are whole nanoseconds, so that no rounding admits anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from smartmem.errors import UserError
from smartmem.runtime.pool.tasks import Task, check_tasks, ranks

_NS = 1_000_000_000
# Runs of one task in a busy period that are looked at; more means that it hardly ever ends.
_MOST_RUNS = 10_000


@dataclass(frozen=True)
class Verdict:
    """What is promised of one task: its response, from the beginning of the period on, is at most
    ``bound_s``. None where the tasks are refused, but for the one that fails, where more than its
    deadline was found; and for tasks without a period. ``time_s`` is what was counted for a run.
    """

    model: str
    device: str
    time_s: float
    period_s: float | None
    deadline_s: float | None
    bound_s: float | None


@dataclass(frozen=True)
class Admission:
    """``utilisation`` by device; ``failing`` is the first task that fails and ``refusal`` says how,
    where one does.
    """

    verdicts: tuple[Verdict, ...]
    utilisation: dict[str, float]
    failing: str | None
    refusal: str | None

    @property
    def ok(self) -> bool:
        return self.failing is None

    def demand(self) -> None:
        """Raises UserError where the tasks are refused."""
        if self.refusal is not None:
            raise UserError(
                f"not admitted: {self.refusal}",
                hint="Make periods or deadlines longer, or place a model on another device.",
            )

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return {"ok": self.ok, **asdict(self)}


def admit(
    tasks: Sequence[Task], devices: Mapping[str, str], times_s: Mapping[str, float]
) -> Admission:
    """Tests tasks that run on ``devices``, each run taking at most ``times_s``, both by model.

    Raises UserError for tasks that make no sense.
    """
    problem = _Problem(check_tasks(tasks), devices, times_s)
    utilisation = {lane: problem.used(problem.on(lane)) for lane in dict.fromkeys(devices.values())}
    bounds: dict[str, int] = {}
    failing = problem.overload()
    refusal: str | None = None
    if failing is not None:
        lane = devices[failing]
        refusal = (
            f"{lane} would be used {utilisation[lane]:.0%} of the time; task {failing!r} is the "
            "first that does not fit"
        )
    else:
        bounds, failing = problem.bounds()
        if failing is not None:
            lane, due_ms = devices[failing], problem.due[failing] / 1e6
            response = f"{bounds[failing] / 1e6:.3f} ms" if failing in bounds else "any time"
            refusal = (
                f"a run of task {failing!r} may take {response} or more from its release on, its "
                f"deadline is {due_ms:.3f} ms ({lane} is used {utilisation[lane]:.0%} of the time)"
            )
    verdicts = tuple(
        Verdict(
            name,
            devices[name],
            times_s[name],
            task.period_s,
            task.due_s if task.is_periodic else None,
            bounds[name] / _NS if name in bounds else None,
        )
        for name, task in problem.tasks.items()
    )
    return Admission(verdicts, utilisation, failing, refusal)


class _Problem:
    """The tasks in nanoseconds: times rounded up, periods and deadlines down."""

    def __init__(
        self, tasks: dict[str, Task], devices: Mapping[str, str], times_s: Mapping[str, float]
    ) -> None:
        self.tasks, self.devices = tasks, devices
        self.time = {name: math.ceil(times_s[name] * _NS) for name in tasks}
        self.periodic = [name for name, task in tasks.items() if task.is_periodic]
        self.period = {n: math.floor((tasks[n].period_s or 0) * _NS) for n in self.periodic}
        self.due = {n: math.floor(tasks[n].due_s * _NS) for n in self.periodic}
        self.rank = ranks(tasks.values())
        self.chain = {name: self._chain(name) for name in self.periodic}
        self.before = {name: self._before(name) for name in self.periodic}

    def on(self, lane: str) -> list[str]:
        """The periodic tasks of a device."""
        return [name for name in self.periodic if self.devices[name] == lane]

    def used(self, names: Sequence[str]) -> float:
        """The share of time that these tasks take."""
        return sum(self.time[n] / max(1, self.period[n]) for n in names)

    def overload(self) -> str | None:
        """The first task that its device has no time for, whatever the order."""
        for place, name in enumerate(self.periodic):
            so_far = self.periodic[: place + 1]
            if self.used([n for n in so_far if self.devices[n] == self.devices[name]]) > 1:
                return name
        return None

    def bounds(self) -> tuple[dict[str, int], str | None]:
        """Response times, each at its fixed point; where one is beyond its deadline, that alone (or
        nothing, without any bound), and its task.
        """
        found = {name: self.time[name] for name in self.periodic}
        while True:
            again: dict[str, int] = {}
            for name in self.periodic:
                response = self._response(name, found)
                if response is None or response > self.due[name]:
                    # Others depend on it: theirs would be bounds of nothing.
                    return ({} if response is None else {name: response}), name
                again[name] = response
            if again == found:
                return found, None
            found = again

    def _response(self, name: str, responses: Mapping[str, int]) -> int | None:
        """The longest response of a task, given all others'; stops beyond its deadline."""
        lane, period, chain = self.devices[name], self.period[name], self.chain[name]
        rank = max(self.rank[member] for member in chain)
        others = [n for n in self.periodic if self.devices[n] == lane and n not in chain]
        urgent = [n for n in others if self.rank[n] <= rank]
        blocking = max(
            (
                self.time[n]
                for n in self.tasks
                if self.devices[n] == lane and n not in chain and n not in urgent
            ),
            default=0,
        )
        jitter = {n: self._jitter(n, (n,), responses) for n in urgent}
        own_jitter = self._jitter(name, chain, responses)
        whole = sum(self.time[member] for member in chain)
        busy = self._busy(blocking, {**jitter, name: own_jitter}, {name: whole}, period)
        if busy is None:
            return None
        longest = 0
        for run in range(-(-(busy + own_jitter) // period)):
            base = blocking + (run + 1) * whole - self.time[name]
            start = base
            while True:
                load = base
                for other in urgent:
                    count = (start + jitter[other]) // self.period[other] + 1
                    if name in self.before[other] and self.period[other] == period:
                        count = min(count, run + 1)
                    load += count * self.time[other]
                if own_jitter + load - run * period + self.time[name] > self.due[name]:
                    return own_jitter + load - run * period + self.time[name]
                if load == start:
                    break
                start = load
            longest = max(longest, own_jitter + start + self.time[name] - run * period)
        return longest

    def _busy(
        self, blocking: int, jitter: Mapping[str, int], wholes: Mapping[str, int], period: int
    ) -> int | None:
        """How long tasks with these jitters keep the device busy at a stretch; ``wholes`` are the
        times of those that stand for several. None where that hardly ends.
        """
        busy = blocking + sum(wholes.get(n, self.time[n]) for n in jitter)
        while busy <= _MOST_RUNS * period:
            load = blocking + sum(
                -(-(busy + late) // self.period[n]) * wholes.get(n, self.time[n])
                for n, late in jitter.items()
            )
            if load == busy:
                return busy
            busy = load
        return None

    def _jitter(self, name: str, chain: Sequence[str], responses: Mapping[str, int]) -> int:
        """How late after the beginning of its period a chain can begin: when the last of those it
        waits for, that are not in it, is done.
        """
        outside = (n for member in chain for n in self.tasks[member].after if n not in chain)
        return max((responses[n] for n in outside), default=0)

    def _chain(self, name: str) -> tuple[str, ...]:
        """The task, and those it waits for on the way back that stays on its device."""
        found, new = [name], [name]
        while new:
            before = [n for member in new for n in self.tasks[member].after]
            new = [
                n
                for n in dict.fromkeys(before)
                if n not in found and self.devices[n] == self.devices[name]
            ]
            found += new
        return tuple(found)

    def _before(self, name: str) -> frozenset[str]:
        """All tasks that it waits for, at first or second hand."""
        direct = self.tasks[name].after
        return frozenset(direct).union(*(self._before(n) for n in direct))
