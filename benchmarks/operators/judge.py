"""A batch of samples through the whole compiler, as one model, and each compared with eager.

What cannot be had costs only itself: a refusal names the sample it belongs to, which is left out;
any other failure splits the batch in two.
"""

import re
import tempfile
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map_only

from smartmem.benchmarks.operators import effects
from smartmem.benchmarks.operators.compare import difference
from smartmem.benchmarks.operators.samples import Batch, Sample, SampleId, sample
from smartmem.errors import CompileError, SmartmemError, UnsupportedError, UserError

Status = Literal["passed", "refused", "wrong", "error", "outside"]

_OWNER = re.compile(r"\bcalls\.(\d+)\b")
# Refusals of samples that stand outside, whatever compiles them: what torch.export, the importer
# and our own checks say of them.
_OUTSIDE = {
    "a shape depends on values": re.compile(
        r"data-dependent|unbacked symbols|aten\.equal\.default|aten\._local_scalar_dense"
        r"|known only at run time"
    ),
    "a number needs 64 bits": re.compile("does not fit 32 bits|lies outside int32"),
}
# What is said ahead of time of a call that is no function of its inputs.
_EFFECT = re.compile("writes to the input|is in training mode")
_REASON_LENGTH = 300


@dataclass(frozen=True)
class Outcome:
    """What became of a sample; ``detail`` says why it did not pass.

    ``outside``: its inputs or results are of a type that smartmem does not have (float64, complex
    numbers), ``torch.export`` cannot trace it because a shape depends on values, or eager itself
    raises.
    """

    sample: SampleId
    status: Status
    detail: str = ""


Report = Callable[[Outcome], None]

# Gives what is expected of each of the samples, and what we make of it.
Run = Callable[[Sequence[SampleId]], Sequence[tuple[Any, Any]]]


def _short(text: object) -> str:
    return " ".join(str(text).split())[:_REASON_LENGTH]


def _foreign(given: Sample, expected: Any) -> str | None:
    """The type among inputs and results that smartmem has not, if any."""
    from smartmem.frontend import types

    tensors = [v for v in (*given.leaves, *tree_leaves(expected)) if isinstance(v, torch.Tensor)]
    foreign = {str(t.dtype).removeprefix("torch.") for t in tensors if not types.is_stored(t.dtype)}
    return f"{', '.join(sorted(foreign))} tensors" if foreign else None


def _run(samples: Sequence[Sample], target: str) -> list[Any]:
    """The results of the samples, compiled as one model."""
    from smartmem.compiler import compile_model
    from smartmem.runtime.session import as_torch, load

    inputs = tuple(tensor for one in samples for tensor in one.tensors())
    with tempfile.TemporaryDirectory(prefix="smartmem-operators-") as folder:
        path = Path(folder) / "batch.smartmem"
        compile_model(Batch(samples).eval(), inputs, targets=(target,), out=path)
        results = load(path, device=target)(*inputs)
    # Where no argument is a tensor, the session knows of no torch.
    return tree_map_only(np.ndarray, lambda array: as_torch(torch, array), results)


def _owners(error: UnsupportedError) -> dict[int, str]:
    """The reasons of a refusal by the position of the sample that caused them."""
    reasons: dict[int, str] = {}
    for row in error.rows:
        match = _OWNER.search(row.location)
        if match is None:
            return {}
        reasons.setdefault(int(match[1]), f"{row.op}: {row.reason}")
    return reasons


def _remove(folder: Path) -> None:
    """A reproducer of a whole batch is of no use: a part of it will fail, too."""
    for file in folder.iterdir():
        file.unlink()
    folder.rmdir()


class _Judge:
    def __init__(self, target: str, report: Report) -> None:
        self.target = target
        self.report = report
        self.given: dict[SampleId, Sample] = {}
        self.expected: dict[SampleId, Any] = {}

    def prepare(self, which: SampleId) -> Run | None:
        """Ask eager; how the sample is run, None for one that is outside."""
        self.given[which] = one = sample(which)
        try:
            self.expected[which] = one.eager()
        except Exception as error:
            self.report(Outcome(which, "outside", f"eager: {_short(error)}"))
            return None
        reason = _foreign(one, self.expected[which])
        if reason:
            self.report(Outcome(which, "outside", reason))
            return None
        return self.functions if one.is_function() else self.effects

    def functions(self, ids: Sequence[SampleId]) -> list[tuple[Any, Any]]:
        """The samples compiled ahead of time."""
        results = _run([self.given[i] for i in ids], self.target)
        return list(zip((self.expected[i] for i in ids), results, strict=True))

    def effects(self, ids: Sequence[SampleId]) -> list[tuple[Any, Any]]:
        """The samples through ``torch.compile``."""
        return effects.run([self.given[i] for i in ids], self.target)

    def judge(self, ids: Sequence[SampleId], run: Run) -> None:
        """Report on all of ``ids``."""
        if not ids:
            return
        try:
            results = run(ids)
        except UnsupportedError as error:
            self._without(ids, run, _owners(error), error)
        except Exception as error:
            self._split(ids, run, error)
        else:
            for which, (expected, result) in zip(ids, results, strict=True):
                wrong = difference(expected, result)
                self.report(Outcome(which, "wrong" if wrong else "passed", wrong or ""))

    def _without(
        self, ids: Sequence[SampleId], run: Run, reasons: Mapping[int, str], error: Exception
    ) -> None:
        """The batch without those that were refused."""
        if not reasons:
            self._split(ids, run, error)
            return
        for position, reason in reasons.items():
            self._tell(_refused(ids[position], reason), run)
        self.judge([i for position, i in enumerate(ids) if position not in reasons], run)

    def _split(self, ids: Sequence[SampleId], run: Run, error: Exception) -> None:
        if len(ids) == 1:
            self._tell(_failed(ids[0], error), run)
            return
        if isinstance(error, CompileError) and error.reproducer:
            _remove(error.reproducer)
        half = len(ids) // 2
        self.judge(ids[:half], run)
        self.judge(ids[half:], run)

    def _tell(self, outcome: Outcome, run: Run) -> None:
        """Report it; but a call that writes what was there before shows only now that it writes."""
        if run == self.functions and _EFFECT.search(outcome.detail):
            self.judge([outcome.sample], self.effects)
        else:
            self.report(outcome)


def _refused(which: SampleId, reason: str) -> Outcome:
    """What a refusal means, by the ``reason`` it gives."""
    for fault, pattern in _OUTSIDE.items():
        if pattern.search(reason):
            return Outcome(which, "outside", fault)
    return Outcome(which, "refused", _short(reason))


def _failed(which: SampleId, error: Exception) -> Outcome:
    """What an error of one sample alone means."""
    if isinstance(error, (UnsupportedError, UserError)):
        return _refused(which, f"{error} {error.__cause__ or ''}")
    kind = "" if isinstance(error, SmartmemError) else f"{type(error).__name__}: "
    return Outcome(which, "error", f"{kind}{_short(error)}")


def judge(ids: Sequence[SampleId], target: str, report: Report) -> None:
    """Tell ``report`` what becomes of each of ``ids`` on ``target``, as soon as it is known."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        batch = _Judge(target, report)
        runs = [(which, batch.prepare(which)) for which in ids]
        for run in (batch.functions, batch.effects):
            batch.judge([which for which, own in runs if own == run], run)
