"""Models with periods and deadlines: a static graph of tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from smartmem.errors import UserError
from smartmem.spelling import did_you_mean


@dataclass(frozen=True)
class Task:
    """A model of a pool that runs every ``period_s``, and must be done ``deadline_s`` after the
    beginning of each period (at its end, without one).

    ``after`` names tasks of the same period whose outputs of the same period it waits for.
    ``latest`` names tasks of any period whose newest outputs it takes as they are when it starts.
    ``priority``: the highest goes first; all tasks have one or none has. Without them the shortest
    deadline goes first (deadline monotonic: Leung and Whitehead, 1982).
    ``time_s`` is the most that one run takes; measured where it is not given.
    A task without ``period_s`` runs in the background, when it is asked for and nothing else waits.
    """

    model: str
    period_s: float | None
    deadline_s: float | None = None
    priority: int | None = None
    after: tuple[str, ...] = ()
    latest: tuple[str, ...] = ()
    time_s: float | None = None

    @property
    def is_periodic(self) -> bool:
        return self.period_s is not None

    @property
    def due_s(self) -> float:
        """When each run must be done, from the beginning of its period on. Of periodic tasks."""
        assert self.period_s is not None
        return self.period_s if self.deadline_s is None else self.deadline_s


def check_tasks(tasks: Sequence[Task]) -> dict[str, Task]:
    """The tasks by name, each after those whose outputs it takes.

    Raises UserError for tasks that make no sense: which, and why.
    """
    known: dict[str, Task] = {}
    for task in tasks:
        if task.model in known:
            raise UserError(f"two tasks for model {task.model!r}")
        known[task.model] = task
    for task in tasks:
        _check_times(task)
        _check_edges(task, known)
    if not any(task.is_periodic for task in tasks):
        raise UserError("no task has a period", hint="Without one there is nothing to schedule.")
    given = [task.model for task in tasks if task.is_periodic and task.priority is not None]
    without = [task.model for task in tasks if task.is_periodic and task.priority is None]
    if given and without:
        raise UserError(
            f"task {without[0]!r} has no priority, but {given[0]!r} has one",
            hint="Give all periodic tasks one, or none of them.",
        )
    return _in_order(known)


def ranks(tasks: Iterable[Task]) -> dict[str, float]:
    """The rank of each task: the smallest is the most urgent."""
    return {
        task.model: float(-task.priority) if task.priority is not None else task.due_s
        for task in tasks
        if task.is_periodic
    }


def _check_times(task: Task) -> None:
    where = f"task {task.model!r}"
    if task.time_s is not None and not 0 < task.time_s < math.inf:
        raise UserError(f"{where}: a run of {task.time_s} s")
    if task.period_s is None:
        if task.deadline_s is not None or task.after or task.latest:
            raise UserError(
                f"{where}: a deadline, `after` or `latest`, but no period",
                hint="Give it a period; a task without one runs when it is asked for.",
            )
        return
    if not 0 < task.period_s < math.inf:
        raise UserError(f"{where}: a period of {task.period_s} s")
    if not 0 < task.due_s <= task.period_s:
        raise UserError(
            f"{where}: a deadline of {task.due_s} s in a period of {task.period_s} s",
            hint="A deadline must be above zero, and within the period.",
        )


def _check_edges(task: Task, known: Mapping[str, Task]) -> None:
    for edge, names in (("after", task.after), ("latest", task.latest)):
        for name in names:
            where = f"task {task.model!r}: {edge} {name!r}"
            if name not in known:
                raise UserError(
                    f"{where}, which is no task.{did_you_mean(name, known)}",
                    hint=f"Tasks: {', '.join(known)}.",
                )
            if not known[name].is_periodic:
                raise UserError(f"{where}, which has no period")
            if edge == "after" and known[name].period_s != task.period_s:
                raise UserError(
                    f"{where}, whose period is {known[name].period_s} s, not {task.period_s} s",
                    hint="Give both one period, or take its newest outputs with `latest`.",
                )
    if task.model in task.latest:
        raise UserError(f"task {task.model!r} takes its own outputs")


def _in_order(known: Mapping[str, Task]) -> dict[str, Task]:
    """Each task after those whose outputs it takes; else in the order given."""
    ordered: dict[str, Task] = {}
    while len(ordered) < len(known):
        able = [
            name
            for name, task in known.items()
            if name not in ordered and ordered.keys() >= {*task.after, *task.latest}
        ]
        if not able:
            stuck = ", ".join(name for name in known if name not in ordered)
            raise UserError(f"tasks take each other's outputs in a circle: {stuck}")
        ordered[able[0]] = known[able[0]]
    return ordered
