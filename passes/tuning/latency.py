"""The latency table of a device family, and the cost model that is fitted to it.

The table holds what dispatches of measured models took, by what they compute. A dispatch that is in
it takes what was measured. Any other is predicted: a ridge regression of the logarithm of its time
on its numbers (``facts.py``), for each kind of dispatch, and what that missed by for the dispatches
most like it. A call takes the sum of its dispatches, by a factor that the measured calls show.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
from numpy.typing import NDArray

from smartmem.errors import UserError
from smartmem.passes.tuning.facts import KINDS, Facts, Step

FORMAT = 1
# Strength of the ridge, and how many dispatches lend their residual: the best of a few tried on
# models left out (benchmarks/latency.py says how far that carries).
_RIDGE = 10.0
_NEIGHBOURS = 4
_HINT = "`smartmem predict --record` writes such files; make it again."


@dataclass(frozen=True)
class Sample:
    """A dispatch and its time; a call of the model makes it ``calls`` times."""

    facts: Facts
    us: float
    calls: int


@dataclass(frozen=True)
class Measured:
    """A model on a device: a whole warm call, and its dispatches one by one."""

    model: str
    call_us: float
    samples: tuple[Sample, ...]


@dataclass(frozen=True)
class StepLatency:
    """One row of a prediction: microseconds of each of ``calls``; ``source`` says whether they were
    measured or come from the model.
    """

    entry: str
    key: str
    kind: str
    location: str | None
    calls: int
    us: float
    source: Literal["measured", "predicted"]


@dataclass(frozen=True)
class Latency:
    """A predicted warm call on a device of ``target``: milliseconds from its first command to its
    last, and the dispatches that make them up.
    """

    target: str
    milliseconds: float
    steps: tuple[StepLatency, ...]

    @property
    def measured_share(self) -> float:
        """The share of the time that is of dispatches in the table."""
        total = sum(s.us * s.calls for s in self.steps)
        known = sum(s.us * s.calls for s in self.steps if s.source == "measured")
        return known / total if total else 1.0


@dataclass(frozen=True)
class LatencyTable:
    """Measured models of one device family. ``sources`` say on what they were measured."""

    family: str
    iree: str
    models: Mapping[str, Measured] = field(default_factory=dict[str, Measured])
    sources: tuple[Mapping[str, str], ...] = ()

    def predict(self, steps: Sequence[Step]) -> Latency:
        """What a call of these steps takes; UserError where the table is empty."""
        if not self.models:
            raise UserError(
                f"nothing was measured on {self.family}, so no latency can be predicted",
                hint="Measure some models there: `smartmem predict --record FILE SPEC...`.",
            )
        unknown = [s.facts for s in steps if s.facts.key not in self._known]
        predicted = iter(self._fit.times_us(unknown))
        rows = tuple(
            StepLatency(s.entry, s.facts.key, s.facts.kind, s.location, s.calls, us, "measured")
            if (us := self._known.get(s.facts.key)) is not None
            else StepLatency(
                s.entry,
                s.facts.key,
                s.facts.kind,
                s.location,
                s.calls,
                next(predicted),
                "predicted",
            )
            for s in steps
        )
        total = sum(row.us * row.calls for row in rows)
        count = sum(row.calls for row in rows)
        factor, each_us = self.call_costs
        return Latency(self.family, max(factor * total + each_us * count, 0.0) / 1e3, rows)

    @cached_property
    def call_costs(self) -> tuple[float, float]:
        """What part of the sum of its dispatches a call takes (they overlap), and microseconds that
        each costs besides: the least squares of the measured calls' relative errors.
        """
        rows = [
            (sum(s.us * s.calls for s in m.samples), sum(s.calls for s in m.samples), m.call_us)
            for m in self.models.values()
        ]
        sums, counts, calls = (np.array(column, float) for column in zip(*rows, strict=True))
        if len(rows) == 1:
            return float(calls[0] / sums[0]), 0.0
        terms = np.stack([sums / calls, counts / calls], axis=1)
        factor, each_us = np.linalg.lstsq(terms, np.ones(len(rows)), rcond=None)[0]
        return float(factor), float(each_us)

    def without(self, model: str) -> LatencyTable:
        """The table as if ``model`` had not been measured."""
        rest = {name: m for name, m in self.models.items() if name != model}
        return LatencyTable(self.family, self.iree, rest, self.sources)

    def adding(self, measured: Measured, source: Mapping[str, str]) -> LatencyTable:
        """The table with one more model, or with a new measurement of one."""
        models = {**self.models, measured.model: measured}
        sources = self.sources if source in self.sources else (*self.sources, source)
        return LatencyTable(self.family, self.iree, models, sources)

    @cached_property
    def _known(self) -> dict[str, float]:
        found: dict[str, list[float]] = {}
        for measured in self.models.values():
            for sample in measured.samples:
                found.setdefault(sample.facts.key, []).append(sample.us)
        return {key: float(np.median(times)) for key, times in found.items()}

    @cached_property
    def _fit(self) -> _Fit:
        facts = {s.facts.key: s.facts for m in self.models.values() for s in m.samples}
        return _Fit([facts[key] for key in self._known], list(self._known.values()))

    def rows(self) -> list[dict[str, Any]]:
        """The table for others: microseconds by op, shapes, layout and dtype (``key``)."""
        facts = {s.facts.key: s.facts for m in self.models.values() for s in m.samples}
        return [
            {"key": key, "kind": facts[key].kind, "us": round(us, 3)}
            for key, us in sorted(self._known.items())
        ]

    def to_json(self) -> str:
        """The file's text; the same for the same table."""
        facts = {s.facts.key: s.facts for m in self.models.values() for s in m.samples}
        keys = sorted(facts)
        numbers = {key: n for n, key in enumerate(keys)}
        lines = [
            json.dumps([key, facts[key].kind, [round(n, 4) for n in facts[key].numbers]])
            for key in keys
        ]
        models = {
            name: {
                "call_us": round(m.call_us, 2),
                "samples": sorted(
                    [numbers[s.facts.key], s.calls, round(s.us, 3)] for s in m.samples
                ),
            }
            for name, m in sorted(self.models.items())
        }
        sources = sorted((dict(s) for s in self.sources), key=lambda s: sorted(s.items()))
        head = {"format": FORMAT, "family": self.family, "iree": self.iree, "sources": sources}
        parts = [
            f'"{name}": {json.dumps(value)}' for name, value in [*head.items(), ("models", models)]
        ]
        body = ",\n ".join([*parts, '"dispatches": [\n  ' + ",\n  ".join(lines) + "\n ]"])
        return "{" + body + "}\n"


class _Fit:
    """The cost model of some dispatches and their times."""

    def __init__(self, facts: Sequence[Facts], times_us: Sequence[float]) -> None:
        numbers = np.array([f.numbers for f in facts], float)
        self._mean, self._scale = numbers.mean(0), np.maximum(numbers.std(0), 1e-6)
        self._points = self._columns(facts)
        self._kinds = [f.kind for f in facts]
        self._logs = np.log(np.maximum(times_us, 1e-3))
        # A call is a sum: what is missed of its long dispatches counts more.
        weights = np.sqrt(np.maximum(times_us, 1e-3))
        weighted = self._points * (weights / weights.mean())[:, None]
        gram = self._points.T @ weighted + _RIDGE * np.eye(weighted.shape[1])
        # numpy does not say what its solver returns.
        self._weights = cast(NDArray[np.float64], np.linalg.solve(gram, weighted.T @ self._logs))
        self._residuals = self._logs - self._points @ self._weights

    def _columns(self, facts: Sequence[Facts]) -> NDArray[np.float64]:
        """Per dispatch: its numbers, and for its kind an own constant and own slopes."""
        count = len(self._mean)
        rows = np.zeros((len(facts), (1 + count) * (1 + len(KINDS))))
        for row, f in zip(rows, facts, strict=True):
            own = np.concatenate([[1.0], (np.array(f.numbers) - self._mean) / self._scale])
            place = (1 + KINDS.index(f.kind)) * (1 + count)
            row[: 1 + count] = own
            row[place : place + 1 + count] = own
        return rows

    def times_us(self, facts: Sequence[Facts]) -> list[float]:
        """The predicted times of dispatches."""
        if not facts:
            return []
        columns = self._columns(facts)
        count = 1 + len(self._mean)
        logs = columns @ self._weights
        for number, f in enumerate(facts):
            # Only dispatches of its kind, by the distance of their numbers.
            same = np.array([k == f.kind for k in self._kinds])
            if not same.any():
                continue
            gaps = np.linalg.norm(self._points[same][:, :count] - columns[number, :count], axis=1)
            near = np.argsort(gaps, kind="stable")[:_NEIGHBOURS]
            weights = np.exp(-(gaps[near] ** 2))
            # One more of weight 0.1 that missed by nothing: far from all, the regression stands.
            missed = float(weights @ self._residuals[same][near])
            logs[number] += missed / (float(weights.sum()) + 0.1)
        return [float(v) for v in np.exp(logs)]


def parse(text: str, name: str) -> LatencyTable:
    """A table from a file's text; UserError where it is none. ``name`` is said in errors."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, not {FORMAT}")
        facts = [Facts(k, kind, tuple(map(float, n))) for k, kind, n in data["dispatches"]]
        if any(f.kind not in KINDS for f in facts) or len({len(f.numbers) for f in facts}) > 1:
            raise ValueError("dispatches of unknown kinds, or with other numbers")
        models = {
            model: Measured(
                model,
                float(row["call_us"]),
                tuple(Sample(facts[n], float(us), int(c)) for n, c, us in row["samples"]),
            )
            for model, row in data["models"].items()
        }
        return LatencyTable(data["family"], data["iree"], models, tuple(data["sources"]))
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise UserError(f"{name}: no latency table ({error})", hint=_HINT) from error


def load(path: str | os.PathLike[str]) -> LatencyTable:
    """The table in a file; UserError where it cannot be read."""
    try:
        return parse(Path(path).read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})", hint=_HINT) from error


def empty(family: str) -> LatencyTable:
    """Nothing measured yet, for this version of IREE."""
    return LatencyTable(family, version("iree-base-compiler"))


def for_target(family: str) -> LatencyTable:
    """The table that comes with smartmem for a target; empty where none does, or for another
    version of IREE.
    """
    file = files("smartmem.passes") / "targets" / "latency" / f"{family}.json"
    nothing = empty(family)
    if not file.is_file():
        return nothing
    table = parse(file.read_text(encoding="utf-8"), str(file))
    return table if table.iree == nothing.iree else nothing
