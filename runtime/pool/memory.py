"""Which models are in memory: never more than the budget, and the coldest goes first.

A model's memory is counted from before its load begins until it has let go of it. What does not fit
waits until a run ends; the most urgent of those that wait is served first, so that small models
cannot keep a large one out.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from smartmem.errors import UserError
from smartmem.runtime.pool.source import Runner, Source
from smartmem.runtime.pool.timeline import Kind

logger = logging.getLogger(__name__)

# The heat of a model is the number of its runs, each counting half as much after so many others.
_HALF_LIFE_RUNS = 16

# kind, model, start in seconds, bytes held after it.
Note = Callable[[Kind, str, float, int], None]
Rank = tuple[float, ...]


@dataclass(eq=False)
class _Slot:
    source: Source
    state: Literal["absent", "loading", "ready"] = "absent"
    runner: Runner | None = None
    granted_bytes: int = 0
    users: int = 0
    heat: float = 0.0
    heated_at: int = 0


class Memory:
    """The models of a pool and their memory. All methods may be called from any thread.

    ``upcoming`` names the models that will be wanted next, soonest first.
    """

    def __init__(
        self,
        budget_bytes: int,
        now: Callable[[], float],
        note: Note,
        upcoming: Callable[[], Sequence[str]],
    ) -> None:
        self.budget_bytes = budget_bytes
        self._now, self._note, self._upcoming = now, note, upcoming
        self._slots: dict[str, _Slot] = {}
        self._changed = threading.Condition()
        self._waiting: list[Rank] = []
        self._pinned: frozenset[str] = frozenset()
        self._runs = 0

    @property
    def held_bytes(self) -> int:
        """What all models in memory count, those being loaded included."""
        with self._changed:
            return self._held()

    def add(self, name: str, source: Source) -> None:
        """Makes a model known. Raises UserError where it does not fit even alone."""
        if source.least_bytes > self.budget_bytes:
            raise UserError(
                f"model {name!r}: its weights take {source.least_bytes} bytes, the pool has "
                f"{self.budget_bytes}",
                hint="Give the model a budget of its own (smartmem plan --budget), or the pool "
                "a larger one.",
            )
        with self._changed:
            if name in self._slots:
                raise UserError(f"the pool has a model {name!r} already")
            self._slots[name] = _Slot(source)

    def source(self, name: str) -> Source:
        return self._slots[name].source

    def names(self) -> list[str]:
        return list(self._slots)

    def fits(self, names: Iterable[str]) -> bool:
        """Whether these models fit the budget together."""
        return sum(self._slots[name].source.least_bytes for name in names) <= self.budget_bytes

    def pin(self, names: Iterable[str]) -> None:
        """These models, and no others, are not evicted any more once they are in memory. They must
        fit the budget together. Waits until none of them runs.
        """
        with self._changed:
            wanted = {name: self._slots[name] for name in names}
            self._changed.wait_for(
                lambda: all(s.state != "loading" and not s.users for s in wanted.values())
            )
            for name, slot in wanted.items():
                # It was alone, and has what others need now.
                if slot.state == "ready" and slot.granted_bytes > slot.source.least_bytes:
                    self._evict(name, slot)
            self._pinned = frozenset(wanted)
            self._changed.notify_all()

    def acquire(self, name: str, rank: Rank = ()) -> Runner:
        """The model in memory, for one run: ``release`` it after. Waits for room.

        Raises what loading raises, and UserError where pinned models leave no room for it.
        """
        with self._changed:
            slot = self._slots[name]
            self._refuse_beside_pinned(name)
            self._waiting.append(rank)
            try:
                while slot.state != "ready":
                    first = min(self._waiting) == rank
                    if slot.state == "absent" and first and self._reserve(slot):
                        break
                    self._changed.wait()
            finally:
                self._waiting.remove(rank)
                self._changed.notify_all()
            if slot.state == "ready":
                slot.users += 1
                assert slot.runner is not None
                return slot.runner
        return self._load(name, slot, "load", users=1)

    def release(self, name: str) -> None:
        """A run has ended."""
        with self._changed:
            slot = self._slots[name]
            slot.users -= 1
            slot.heat, slot.heated_at = self._heat(slot) + 1.0, self._runs
            self._runs += 1
            self._changed.notify_all()

    def prefetch(self, name: str) -> None:
        """Brings the model into memory ahead of its run, where what runs or waits leaves room. What
        goes wrong goes wrong again when its turn comes, and is told then.
        """
        with self._changed:
            slot = self._slots[name]
            if slot.state != "absent" or self._waiting or not self._reserve(slot):
                return
        # Anything may be raised by a source that somebody else wrote.
        with suppress(Exception):
            self._load(name, slot, "prefetch", users=0)

    def drop_idle(self) -> None:
        """Lets go of all models that do not run."""
        with self._changed:
            self._changed.wait_for(lambda: all(s.state != "loading" for s in self._slots.values()))
            for name, slot in self._slots.items():
                if slot.state == "ready" and not slot.users:
                    self._evict(name, slot)

    def _load(self, name: str, slot: _Slot, kind: Kind, users: int) -> Runner:
        """Loads into room that is reserved; nobody else waits for the disk meanwhile."""
        start_s = self._now()
        try:
            runner = slot.source.load(slot.granted_bytes)
        except BaseException:
            with self._changed:
                slot.state, slot.granted_bytes = "absent", 0
                self._note("fail", name, start_s, self._held())
                self._changed.notify_all()
            raise
        with self._changed:
            slot.runner, slot.state, slot.users = runner, "ready", users
            self._note(kind, name, start_s, self._held())
            self._changed.notify_all()
        return runner

    def _reserve(self, slot: _Slot) -> bool:
        """Makes room for the least that the model needs, and gives it what is free up to the most.

        False, and nothing evicted, where what is in use is in the way.
        """
        missing = self._held() + slot.source.least_bytes - self.budget_bytes
        victims: list[str] = []
        for name in self._victims():
            if missing <= 0:
                break
            victims.append(name)
            missing -= self._slots[name].granted_bytes
        if missing > 0:
            return False
        for name in reversed(victims):
            # The last one alone may give room enough: then those before it can stay.
            if missing + self._slots[name].granted_bytes <= 0:
                victims.remove(name)
                missing += self._slots[name].granted_bytes
        for name in victims:
            self._evict(name, self._slots[name])
        least, most = slot.source.least_bytes, slot.source.most_bytes
        free = self.budget_bytes - self._held() - self._promised(slot)
        slot.granted_bytes = max(least, min(free, most))
        slot.state = "loading"
        return True

    def _promised(self, slot: _Slot) -> int:
        """What must stay free beside a pinned model: the pinned ones that are not in memory yet,
        and any one of the others.
        """
        if slot not in (self._slots[name] for name in self._pinned):
            return 0
        others = [(name, other) for name, other in self._slots.items() if other is not slot]
        pinned = [s for n, s in others if n in self._pinned and s.state == "absent"]
        rest = [s.source.least_bytes for n, s in others if n not in self._pinned]
        return sum(s.source.least_bytes for s in pinned) + max(rest, default=0)

    def _victims(self) -> list[str]:
        """Models that can go: first those nobody waits for, the coldest of them first; then the one
        whose turn is last.
        """
        turn = {name: place for place, name in enumerate(self._upcoming())}
        able = [
            name
            for name, slot in self._slots.items()
            if slot.state == "ready" and not slot.users and name not in self._pinned
        ]
        return sorted(
            able,
            key=lambda name: (name in turn, -turn.get(name, 0), self._heat(self._slots[name])),
        )

    def _evict(self, name: str, slot: _Slot) -> None:
        start_s = self._now()
        runner, slot.runner, slot.state = slot.runner, None, "absent"
        assert runner is not None
        try:
            runner.close()
        except Exception as error:
            logger.warning("model %r did not close as it should: %s", name, error)
        slot.granted_bytes = 0
        self._note("evict", name, start_s, self._held())

    def _heat(self, slot: _Slot) -> float:
        return slot.heat * 0.5 ** ((self._runs - slot.heated_at) / _HALF_LIFE_RUNS)

    def _held(self) -> int:
        return sum(slot.granted_bytes for slot in self._slots.values())

    def _refuse_beside_pinned(self, name: str) -> None:
        taken = sum(self._slots[other].source.least_bytes for other in self._pinned - {name})
        least = self._slots[name].source.least_bytes
        if taken + least > self.budget_bytes:
            raise UserError(
                f"model {name!r}: its weights take {least} bytes, and scheduled models keep "
                f"{taken} of the pool's {self.budget_bytes}",
                hint="Ask for it when the schedule has ended, or give the pool a larger budget.",
            )
