"""What of a graph runs in eager PyTorch, in numbers and line by line.

One report per compiled graph and signature; ``smartmem.compile_reports()`` gives those of this
process, and the log has each one once, as a warning where anything was left in eager.
"""

import logging
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from traceback import FrameSummary

import torch

from smartmem.errors import UnsupportedError, UnsupportedOp, counted
from smartmem.frontend.source import relative

logger = logging.getLogger(__name__)

# A process that compiles for ever must not remember for ever.
_KEPT = 1000


@dataclass(frozen=True)
class CompileReport:
    """How one graph was compiled for one signature of its inputs.

    ops: ATen calls of the decomposed graph that depend on an input and that a result needs; items
    of tuples and arithmetic on sizes do not count. flops: multiplications and additions of matrix
    products, convolutions and attention, as ``torch.utils.flop_counter`` counts them.
    parts: compiled artefacts. crossings: tensors that pass between a part and an eager op, or
    between two parts, in one call. unsupported: every call that cannot be compiled, with Python
    line, reason and remedy. other_eager_ops: calls that could be, but lie between such calls, read
    what has no type in an artefact, or are too few for a part of their own. draws: calls by which
    PyTorch's generator draws numbers that parts read; they count neither as ops nor as eager.
    graph_breaks: where TorchDynamo ended a graph since the report before this one.
    """

    inputs: tuple[str, ...]
    ops: int
    eager_ops: int
    flops: int
    eager_flops: int
    parts: int
    crossings: int
    unsupported: tuple[UnsupportedOp, ...]
    draws: int = 0
    graph_breaks: tuple[str, ...] = ()

    @property
    def other_eager_ops(self) -> int:
        """Eager ops without a row of their own."""
        return max(self.eager_ops - len(self.unsupported), 0)

    @property
    def is_whole(self) -> bool:
        """Whether nothing is left in eager and nothing broke the graph."""
        return not (self.eager_ops or self.unsupported or self.graph_breaks)

    def error(self) -> UnsupportedError:
        """The report as an error."""
        return UnsupportedError(self._head(), self.unsupported)

    def __str__(self) -> str:
        return self.error().message

    def _head(self) -> str:
        inputs = ", ".join(self.inputs)
        eager = (
            f"{self.eager_ops} of {self.ops} ops ({_percent(self.eager_ops, self.ops)}) and "
            f"{_percent(self.eager_flops, self.flops)} of its {self.flops} FLOPs run in eager "
            "PyTorch; "
            f"compiled parts: {self.parts}, tensors that cross: {self.crossings}"
        )
        lines = [f"graph of ({inputs}): {eager}"]
        if self.draws:
            lines[0] += f", random draws: {self.draws}"
        if self.graph_breaks:
            lines += [f"{counted(len(self.graph_breaks), 'graph break')}:"]
            lines += [f"  {broken}" for broken in self.graph_breaks]
        if self.unsupported and self.other_eager_ops:
            lines.append(
                f"eager for another's sake: {self.other_eager_ops}, which read what has no type in "
                "an artefact, or are too few for a part of their own"
            )
        return "\n".join(lines)


_reports: deque[CompileReport] = deque(maxlen=_KEPT)
_last_break: object = None


def compile_reports() -> list[CompileReport]:
    """The reports of what ``torch.compile(backend="smartmem")`` compiled in this process, oldest
    first; the last thousand.
    """
    return list(_reports)


def publish(report: CompileReport) -> None:
    """Remember and log it, once, with the graph breaks since the last one.

    A graph of no ops that nothing broke is not worth a report.
    """
    report = replace(report, graph_breaks=_new_graph_breaks())
    if report.is_whole and not report.ops:
        return
    _reports.append(report)
    level = logging.DEBUG if report.is_whole else logging.WARNING
    logger.log(level, "%s", report)


def _new_graph_breaks() -> tuple[str, ...]:
    """Graph breaks since the last call, each with its Python line and the first line of why."""
    global _last_break
    reasons = list(torch._dynamo.utils.graph_break_reasons)
    # By identity, since torch._dynamo.reset() empties the list.
    start = next((i + 1 for i, reason in enumerate(reasons) if reason is _last_break), 0)
    fresh = reasons[start:]
    _last_break = reasons[-1] if reasons else None
    return tuple(dict.fromkeys(f"{_line(r.user_stack)}: {r.reason.splitlines()[0]}" for r in fresh))


def _line(stack: Sequence[FrameSummary]) -> str:
    """The innermost frame, relative to the import path."""
    return f"{relative(stack[-1].filename)}:{stack[-1].lineno}" if stack else "unknown line"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f}%" if whole else "0%"
