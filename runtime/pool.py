"""Several models under one memory budget, run in the order in which they are asked for.

    with Pool(1536 << 20, device="cpu") as pool:
        pool.add("detector", "detector.smartmem")
        pool.add("planner", "planner.smartmem")
        boxes = pool.submit("detector", image)      # a Future
        plan = pool.run("planner", state)           # waits

A model is loaded when its turn comes, or before, while another one computes, if both fit. The model
that was used least recently goes first. A model counts with the most its weights can take: the
budget's plan where it was compiled with one, all of its archive otherwise.
"""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Self

from smartmem.errors import UserError
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.devices import select
from smartmem.runtime.session import Session
from smartmem.spelling import did_you_mean


@dataclass(frozen=True)
class Event:
    """What happened to a model, in seconds since the pool began; ``held_bytes`` is what all loaded
    models count after it.
    """

    kind: Literal["load", "evict", "run"]
    model: str
    start_s: float
    end_s: float
    held_bytes: int


@dataclass(frozen=True)
class _Job:
    model: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    result: Future[Any]


class Pool:
    """Models that share a budget. Runs happen one after another, in the order of their calls."""

    def __init__(self, budget_bytes: int, device: str = "auto") -> None:
        self._budget_bytes, self._device = budget_bytes, device
        self._bundles: dict[str, Bundle] = {}
        self._needs: dict[str, int] = {}
        # The least recently used first. Whoever loads or evicts holds the lock; a run does not.
        self._loaded: dict[str, Session] = {}
        self._memory = threading.RLock()
        self._running: str | None = None
        self._jobs: deque[_Job] = deque()
        self._wanted = threading.Condition()
        self._closed = False
        self._events: list[Event] = []
        self._began = time.perf_counter()
        self._loader = ThreadPoolExecutor(1, "smartmem-pool-loader")
        self._worker = threading.Thread(target=self._work, name="smartmem-pool", daemon=True)
        self._worker.start()

    @property
    def timeline(self) -> tuple[Event, ...]:
        """All that happened, in the order in which it ended."""
        with self._memory:
            return tuple(self._events)

    def add(self, name: str, path: str | os.PathLike[str]) -> None:
        """Makes the bundle at ``path`` known as ``name``; loads nothing.

        Raises UserError for a model that does not fit the budget even alone.
        """
        bundle = Bundle.open(path)
        _, entry = select(bundle.manifest, self._device)
        need_bytes = bundle.manifest.weights.bytes
        if entry.is_streamed:
            need_bytes = int(bundle.report(entry.name)["streaming"]["peak_weight_bytes"])
        if need_bytes > self._budget_bytes:
            raise UserError(
                f"{path}: its weights take {need_bytes} bytes, the pool has {self._budget_bytes}",
                hint="Give the model a budget of its own: smartmem plan --budget.",
            )
        self._bundles[name], self._needs[name] = bundle, need_bytes

    def submit(self, name: str, *args: Any, **kwargs: Any) -> Future[Any]:
        """Asks for a run; its outputs, or what went wrong, are in the Future."""
        if name not in self._bundles:
            raise UserError(
                f"the pool has no model {name!r}.{did_you_mean(name, self._bundles)}",
                hint=f"It has {', '.join(self._bundles) or 'none'}.",
            )
        job = _Job(name, args, kwargs, Future())
        with self._wanted:
            if self._closed:
                raise UserError("the pool is closed")
            self._jobs.append(job)
            self._wanted.notify()
        return job.result

    def run(self, name: str, *args: Any, **kwargs: Any) -> Any:
        """The outputs of a run, when its turn has come."""
        return self.submit(name, *args, **kwargs).result()

    def close(self) -> None:
        """Finishes what was asked for, then lets go of all models."""
        with self._wanted:
            self._closed = True
            self._wanted.notify()
        self._worker.join()
        self._loader.shutdown()
        with self._memory:
            for name in tuple(self._loaded):
                self._evict(name)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _work(self) -> None:
        while (job := self._next()) is not None:
            if not job.result.set_running_or_notify_cancel():
                continue
            try:
                job.result.set_result(self._execute(job))
            except Exception as error:
                job.result.set_exception(error)

    def _next(self) -> _Job | None:
        """The next job; None when the pool is closed and all are done."""
        with self._wanted:
            self._wanted.wait_for(lambda: self._jobs or self._closed)
            return self._jobs.popleft() if self._jobs else None

    def _execute(self, job: _Job) -> Any:
        with self._memory:
            session = self._load(job.model)
            assert session is not None
            self._running = job.model
        with self._wanted:
            following = next((j.model for j in self._jobs if j.model != job.model), None)
        if following is not None:
            # What goes wrong there goes wrong again when its turn comes, and is told then.
            self._loader.submit(self._load, following)
        start_s = self._now()
        try:
            return session(*job.args, **job.kwargs)
        finally:
            with self._memory:
                self._running = None
                self._note("run", job.model, start_s)

    def _load(self, name: str) -> Session | None:
        """The model's session, the others making room; None where that which runs is in the way."""
        with self._memory:
            session = self._loaded.pop(name, None)
            if session is None:
                free = [other for other in self._loaded if other != self._running]
                while self._held() + self._needs[name] > self._budget_bytes:
                    if not free:
                        return None
                    self._evict(free.pop(0))
                start_s = self._now()
                session = Session(self._bundles[name], self._device, executor="iree")
                self._loaded[name] = session
                self._note("load", name, start_s)
            self._loaded[name] = session
            return session

    def _evict(self, name: str) -> None:
        start_s = self._now()
        self._loaded.pop(name).close()
        self._note("evict", name, start_s)

    def _held(self) -> int:
        return sum(self._needs[name] for name in self._loaded)

    def _note(self, kind: Literal["load", "evict", "run"], model: str, start_s: float) -> None:
        self._events.append(Event(kind, model, start_s, self._now(), self._held()))

    def _now(self) -> float:
        return time.perf_counter() - self._began
