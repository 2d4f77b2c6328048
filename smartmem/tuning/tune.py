"""Search for the fastest tiles of contractions, in a budget of seconds.

First the rule's tiles, IREE's own and random ones for each contraction, those that take most of the
models' time first; then children of the fastest, for as long as they gain and time is left. What is
found is measured once more beside the rule's, and kept only where it is clearly faster.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from random import Random
from typing import TYPE_CHECKING

from smartmem.dispatches import Reference
from smartmem.passes.iree.isolate import Isolated, isolate
from smartmem.passes.rules.kernels import KernelConfig, KernelLimits, tile_contraction
from smartmem.passes.tuning.candidates import Genes, child, drawn, expressed
from smartmem.passes.tuning.database import Database, Entry, empty
from smartmem.runtime import native_api
from smartmem.runtime.executor import uuid_of
from smartmem.tuning.measure import Bench
from smartmem.tuning.units import Unit

if TYPE_CHECKING:
    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.target import Target
    from smartmem.runtime.devices import Device

# Candidates that are built and measured together: one run of iree-compile, a second or two.
_BATCH = 8
_PARENTS = 3
# Seconds of measuring for a batch, and for what is measured once more: other load comes and goes,
# and the least of many rounds does not know it.
_BATCH_SECONDS, _FINAL_SECONDS = 0.4, 1.0
# Generations without a gain after which a contraction is left alone.
_PATIENCE = 2
# What is measured to be less faster than this may be noise: the rule's tiles stay.
_CLEARLY = 0.95
# The part of the budget that is searched in; the rest is for measuring once more.
_SEARCH_SHARE = 0.8
_ATTEMPTS = 200


@dataclass
class _State:
    """What is known of one contraction."""

    unit: Unit
    bench: Bench
    rule: KernelConfig | None
    times: dict[KernelConfig | None, float] = field(
        default_factory=dict[KernelConfig | None, float]
    )
    genes: dict[KernelConfig, Genes] = field(default_factory=dict[KernelConfig, Genes])
    idle: int = 0
    entry: Entry | None = None

    @property
    def best(self) -> float:
        return min(self.times.values(), default=math.inf)

    @property
    def weight(self) -> float:
        """Microseconds of the models that it takes with the best tiles so far."""
        return self.best * self.unit.calls


@dataclass(frozen=True)
class Tuned:
    """What was found; ``unmeasured``: keys of contractions that could not be, or for which there
    was no time.
    """

    database: Database
    unmeasured: tuple[str, ...]
    seconds: float


def tune(
    units: Sequence[Unit],
    target: Target,
    device: Device,
    *,
    seconds: float,
    seed: int = 0,
    cache: Cache | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> Tuned:
    """Measures tiles for ``units`` on ``device`` for about ``seconds``, after what they compute is
    known from the CPU; ``target`` has kernels. One of them is measured in any case.

    Raises DeviceError where the device fails and CompileError where IREE does for the CPU.
    """
    started = time.monotonic()
    limits = target.kernels
    assert limits is not None
    # Kept open: NVIDIA's driver opens no more than some thirty times in a process.
    held = native_api.open_device(uuid_of(device.uri))
    random = Random(seed)
    states: list[_State] = []
    progress(f"{len(units)} contractions: what they compute, on the CPU")
    for group in _by_module(units):
        isolation = isolate(group[0].stream_ir, [(unit.entry, ()) for unit in group])
        with Reference(isolation.module, cache) as reference:
            for unit, made in zip(group, isolation.calls, strict=True):
                if isinstance(made, Isolated):
                    bench = Bench(unit.stream_ir, made, reference, target, device.uri)
                    states.append(_State(unit, bench, tile_contraction(unit.op, limits)))
    searching = time.monotonic()
    deadline = searching + seconds * _SEARCH_SHARE
    # The largest first: where time is short, they matter most.
    states.sort(key=lambda s: -math.prod(s.unit.op.extents) * s.unit.calls)
    for number, state in enumerate(states):
        if not number or time.monotonic() < deadline:
            _first(state, limits, random)
            progress(f"{state.unit.key}: {state.best:.1f} us")
    while time.monotonic() < deadline:
        open_states = [s for s in states if s.times and s.idle < _PATIENCE]
        if not open_states:
            break
        state = max(open_states, key=lambda s: s.weight / (1 + s.idle))
        _generation(state, limits, random)
        progress(f"{state.unit.key}: {state.best:.1f} us after {len(state.times)}")
    for state in states:
        if state.times:
            state.entry = _settled(state, time.monotonic() < searching + seconds)
    entries = {s.unit.key: s.entry for s in states if s.entry}
    left = tuple(unit.key for unit in units if unit.key not in entries)
    source = {
        "device": device.name,
        "driver": device.driver,
        "date": datetime.now(UTC).strftime("%Y-%m-%d"),
    }
    known = empty(target.name)
    del held
    database = Database(known.family, known.iree, entries, (source,) if entries else ())
    return Tuned(database, left, time.monotonic() - started)


def _by_module(units: Sequence[Unit]) -> list[list[Unit]]:
    groups: dict[str, list[Unit]] = {}
    for unit in units:
        groups.setdefault(unit.stream_ir, []).append(unit)
    return list(groups.values())


def _first(state: _State, limits: KernelLimits, random: Random) -> None:
    configs = list(dict.fromkeys([state.rule, None]))
    fresh = _fresh(state, limits, lambda: drawn(random), _BATCH - len(configs), configs)
    _measure(state, [*configs, *fresh])


def _generation(state: _State, limits: KernelLimits, random: Random) -> None:
    before = state.best
    ranked = sorted(
        (c for c in state.genes if math.isfinite(state.times[c])), key=lambda c: state.times[c]
    )
    parents = [state.genes[config] for config in ranked[:_PARENTS]]

    def draw() -> Genes:
        # Some are always new, so that the search does not end in the first valley.
        return child(parents, random) if parents and random.random() < 0.75 else drawn(random)

    fresh = _fresh(state, limits, draw, _BATCH, [])
    if fresh:
        _measure(state, fresh)
    gained = state.best < before * _CLEARLY
    state.idle = 0 if gained else state.idle + 1


def _fresh(
    state: _State,
    limits: KernelLimits,
    draw: Callable[[], Genes],
    count: int,
    taken: Sequence[KernelConfig | None],
) -> list[KernelConfig]:
    """Up to ``count`` configurations that were not measured yet."""
    found: list[KernelConfig] = []
    for _ in range(_ATTEMPTS):
        if len(found) == count:
            break
        genes = draw()
        config = expressed(genes, state.unit.op, limits)
        if config and config not in state.times and config not in taken and config not in found:
            state.genes[config] = genes
            found.append(config)
    return found


def _measure(state: _State, configs: Sequence[KernelConfig | None]) -> None:
    times = state.bench.times_us(configs, _BATCH_SECONDS)
    state.times.update(zip(configs, times, strict=True))


def _settled(state: _State, again: bool) -> Entry | None:
    """What is kept: the fastest where it is clearly faster than the rule's tiles."""
    ranked = sorted(state.times, key=lambda c: state.times[c])
    if not math.isfinite(state.times[ranked[0]]):
        return None
    if again:
        final = list(dict.fromkeys([state.rule, *ranked[:_PARENTS]]))
        state.times.update(zip(final, state.bench.times_us(final, _FINAL_SECONDS), strict=True))
        ranked = sorted(final, key=lambda c: state.times[c])
    best, rule_us = ranked[0], state.times[state.rule]
    config = best if state.times[best] < rule_us * _CLEARLY else state.rule
    return Entry(
        config,
        round(state.times[config], 2),
        _known(state.times.get(state.rule)),
        _known(state.times.get(None)),
        len(state.times),
    )


def _known(time_us: float | None) -> float | None:
    return None if time_us is None or not math.isfinite(time_us) else round(time_us, 2)
