"""Models without weights or kernels, for what a pool does with any model."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


@dataclass
class Loads:
    """What is in memory by the models' own account, and the most that ever was."""

    held: dict[str, int] = field(default_factory=dict)
    most: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def set(self, name: str, size_bytes: int) -> None:
        with self.lock:
            self.held[name] = size_bytes
            self.most = max(self.most, sum(self.held.values()))


@dataclass
class FakeSource:
    """``call`` is what a run does; ``budgets`` what each load was given."""

    name: str
    least_bytes: int = 1
    loads: Loads = field(default_factory=Loads)
    call: Callable[..., Any] = lambda *args, **kwargs: (args, kwargs)
    device: str = "cpu"
    most: int | None = None
    load_s: float = 0.0
    load_error: Exception | None = None
    budgets: list[int] = field(default_factory=list)

    @property
    def most_bytes(self) -> int:
        return self.least_bytes if self.most is None else self.most

    def load(self, budget_bytes: int) -> FakeRunner:
        assert self.least_bytes <= budget_bytes <= self.most_bytes
        self.budgets.append(budget_bytes)
        self.loads.set(self.name, budget_bytes)
        time.sleep(self.load_s)
        if self.load_error is not None:
            self.loads.set(self.name, 0)
            raise self.load_error
        return FakeRunner(self)


class FakeRunner:
    def __init__(self, source: FakeSource) -> None:
        self.source, self.running, self.closed = source, False, False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        assert not self.closed and not self.running
        self.running = True
        try:
            return self.source.call(*args, **kwargs)
        finally:
            self.running = False

    def close(self) -> None:
        assert not self.running and not self.closed
        self.closed = True
        self.source.loads.set(self.source.name, 0)
