"""The pool itself: a queue and a worker for each device, and the memory that all of them share.

    with Pool(1536 << 20, device="cpu") as pool:
        pool.add("detector", "detector.smartmem")
        pool.add("planner", "planner.smartmem", priority=1)
        boxes = pool.submit("detector", image)      # a Future
        plan = pool.run("planner", state)           # waits

Models of one device run one after another, those of several devices beside each other.
"""

from __future__ import annotations

import itertools
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import zip_longest
from types import TracebackType
from typing import Any, Self

from smartmem.errors import UserError
from smartmem.runtime.pool.memory import Memory
from smartmem.runtime.pool.ready import ORDERS, Arguments, Job, Order, Ready
from smartmem.runtime.pool.source import BundleSource, Source
from smartmem.runtime.pool.timeline import Event, Kind
from smartmem.runtime.session import Executor
from smartmem.spelling import did_you_mean

# Of ranks: what the clock releases stands before what is asked for.
SCHEDULED, ASKED_FOR = 0.0, 1.0


class DeadlineMissed(UserError):
    """A run that was given up, since it could only have been late."""


@dataclass(eq=False)
class _Lane:
    """What runs one after another: the runs of a device, and the thread that does them."""

    ready: Ready
    worker: threading.Thread = field(init=False)
    prefetch: Future[None] | None = None


class Pool:
    """Models that share ``budget_bytes`` of memory for weights. ``device`` is for models that are
    added without one; ``order`` is how runs of equal priority follow each other ("fifo" or "fair":
    ready.py); ``executor`` as in ``smartmem.load``.
    """

    def __init__(
        self,
        budget_bytes: int,
        device: str = "auto",
        *,
        order: Order = "fifo",
        executor: Executor = "auto",
    ) -> None:
        if order not in ORDERS:
            raise UserError(
                f"unknown order {order!r}.{did_you_mean(order, ORDERS)}",
                hint=f"Known: {', '.join(ORDERS)}.",
            )
        self._device = device
        self._order: Order = order
        self._executor: Executor = executor
        self._began = time.perf_counter()
        self._events: list[Event] = []
        self._priorities: dict[str, int] = {}
        self._lanes: dict[str, _Lane] = {}
        self._wanted = threading.Condition()
        self._closed = False
        self._numbers = itertools.count()
        self._restriction: Callable[[str], str | None] | None = None
        self._forecast: Callable[[], Sequence[str]] = tuple
        self._loader = ThreadPoolExecutor(1, "smartmem-pool-loader")
        self.memory = Memory(budget_bytes, self.now, self._note, self._upcoming)

    @property
    def timeline(self) -> tuple[Event, ...]:
        """All that happened, in the order in which it ended."""
        return tuple(self._events)

    def now(self) -> float:
        """Seconds since the pool began: the time of the timeline."""
        return time.perf_counter() - self._began

    def add(
        self,
        name: str,
        model: str | os.PathLike[str] | Source,
        *,
        device: str | None = None,
        priority: int = 0,
    ) -> None:
        """Makes a model known as ``name``: a compiled model's folder, or any ``Source``; loads
        nothing. Of the runs that wait for one device those of the highest ``priority`` go first.

        Raises UserError for a model that does not fit the budget even alone, and for a name that
        is taken; DeviceError where this machine has no such device.
        """
        if isinstance(model, str | os.PathLike):
            model = BundleSource(model, device or self._device, self._executor)
        self.memory.add(name, model)
        self._priorities[name] = priority

    def submit(self, name: str, *args: Any, **kwargs: Any) -> Future[Any]:
        """Asks for a run; its outputs, or what went wrong, are in the Future.

        A run that has not begun can be cancelled (``Future.cancel``).
        """
        self.check_known(name)
        rank = (ASKED_FOR, -self._priorities[name])
        return self.enqueue(name, rank, lambda: (args, kwargs))

    def run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The outputs of a run, when its turn has come."""
        return self.submit(name, *args, **kwargs).result()

    def check_known(self, name: str) -> None:
        """Raises UserError for a name that is none of the pool's."""
        names = self.memory.names()
        if name not in names:
            raise UserError(
                f"the pool has no model {name!r}.{did_you_mean(name, names)}",
                hint=f"It has {', '.join(names) or 'none'}.",
            )

    def enqueue(
        self,
        name: str,
        rank: tuple[float, ...],
        arguments: Arguments,
        *,
        lane: str | None = None,
        due_s: float | None = None,
        done: Callable[[Future[Any]], None] | None = None,
    ) -> Future[Any]:
        """A run with all that a schedule decides: its rank, what makes its arguments when it
        starts, the lane (the device's, without it), and its deadline in the pool's time: a run
        that has not started by then is given up (DeadlineMissed). ``done`` is called, by the
        worker, when it has ended in whatever way.
        """
        with self._wanted:
            if self._closed:
                raise UserError("the pool is closed")
            if rank[0] == ASKED_FOR and self._restriction and (why := self._restriction(name)):
                raise UserError(f"model {name!r} cannot run now: {why}")
            job = Job(name, rank, next(self._numbers), arguments, due_s=due_s)
            if done is not None:
                job.result.add_done_callback(done)
            self._lane(lane or self.memory.source(name).device).ready.push(job)
            self._wanted.notify_all()
        return job.result

    def restrict(
        self,
        restriction: Callable[[str], str | None] | None = None,
        forecast: Callable[[], Sequence[str]] | None = None,
    ) -> None:
        """While a schedule runs: why a model may not be asked for, and which models come next when
        nothing waits. Without arguments all is as before.

        Raises UserError where another schedule runs, and where a run waits that may not be.
        """
        with self._wanted:
            if restriction is not None:
                if self._restriction is not None:
                    raise UserError("the pool runs a schedule already")
                waiting = [n for lane in self._lanes.values() for n in lane.ready.upcoming()]
                for name in waiting:
                    if why := restriction(name):
                        raise UserError(f"a run of model {name!r} waits in the pool, but {why}")
            self._restriction = restriction
            self._forecast = forecast or tuple

    def close(self, *, cancel: bool = False) -> None:
        """Finishes what was asked for (with ``cancel`` only what runs already: the others'
        Futures are cancelled), then lets go of all models.
        """
        with self._wanted:
            self._closed = True
            lanes = list(self._lanes.values())
            dropped = [job for lane in lanes for job in lane.ready.drop()] if cancel else []
            self._wanted.notify_all()
        for job in dropped:
            job.result.cancel()
        for lane in lanes:
            lane.worker.join()
        self._loader.shutdown()
        self.memory.drop_idle()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close(cancel=kind is not None)

    def _lane(self, name: str) -> _Lane:
        """The lane of that name, made on first use; with the lock held."""
        if name not in self._lanes:
            lane = _Lane(Ready(self._order))
            lane.worker = threading.Thread(
                target=self._work, args=(lane,), name=f"smartmem-pool {name}", daemon=True
            )
            self._lanes[name] = lane
            lane.worker.start()
        return self._lanes[name]

    def _work(self, lane: _Lane) -> None:
        while (job := self._next(lane)) is not None:
            if not job.result.set_running_or_notify_cancel():
                continue
            try:
                outputs = self._execute(lane, job)
            except BaseException as error:
                # Also what ends a thread: whoever waits for the result must not wait for ever.
                job.result.set_exception(error)
            else:
                job.result.set_result(outputs)

    def _next(self, lane: _Lane) -> Job | None:
        """The next run; None when the pool is closed and all are done."""
        with self._wanted:
            self._wanted.wait_for(lambda: len(lane.ready) or self._closed)
            return lane.ready.pop() if len(lane.ready) else None

    def _execute(self, lane: _Lane, job: Job) -> Any:
        name, due_s = job.model, job.due_s
        if due_s is not None and self.now() > due_s:
            self._note("miss", name, due_s, self.memory.held_bytes)
            raise DeadlineMissed(f"a run of model {name!r} was given up at its deadline")
        runner = self.memory.acquire(name, (*job.rank, job.number))
        kind: Kind = "fail"
        start_s = self.now()
        try:
            self._prefetch(lane, name)
            args, kwargs = job.arguments()
            outputs = runner(*args, **kwargs)
            kind = "run"
            return outputs
        finally:
            self.memory.release(name)
            self._note(kind, name, start_s, self.memory.held_bytes)
            with self._wanted:
                lane.ready.served(name, self.now() - start_s)
                is_idle = not len(lane.ready)
            if due_s is not None and self.now() > due_s:
                self._note("miss", name, due_s, self.memory.held_bytes)
            if is_idle:
                self._prefetch(lane)

    def _prefetch(self, lane: _Lane, running: str | None = None) -> None:
        """Begins to load the model that comes next, while ``running`` computes or nothing does."""
        if lane.prefetch is not None and not lane.prefetch.done():
            return
        with self._wanted:
            following = [*lane.ready.upcoming(), *self._forecast()]
        name = next((name for name in following if name != running), None)
        if name is not None:
            lane.prefetch = self._loader.submit(self.memory.prefetch, name)

    def _upcoming(self) -> list[str]:
        """The models that will be wanted next, over all lanes."""
        with self._wanted:
            rows = [lane.ready.upcoming() for lane in self._lanes.values()]
            turns = [name for turn in zip_longest(*rows) for name in turn if name is not None]
            return list(dict.fromkeys([*turns, *self._forecast()]))

    def _note(self, kind: Kind, model: str, start_s: float, held_bytes: int) -> None:
        device = self.memory.source(model).device
        self._events.append(Event(kind, model, start_s, self.now(), held_bytes, device))
