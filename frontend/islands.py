"""One graph, made to run for one signature of its arguments: compiled parts between eager islands.

A part that fails to compile runs in eager, and so does the whole graph where it cannot be exported;
the report says why. With ``strict`` each of these is an error instead.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch.fx import GraphModule

from smartmem.errors import (
    DeviceError,
    SmartmemError,
    UnsupportedError,
    UnsupportedOp,
    UserError,
)
from smartmem.frontend.capture import Captured, capture
from smartmem.frontend.draws import draws
from smartmem.frontend.fallback import CompileReport
from smartmem.frontend.partition import Part, Split, flops, flops_of, is_call, split
from smartmem.frontend.source import source_of
from smartmem.runtime.devices import Device
from smartmem.runtime.manifest import Precision
from smartmem.runtime.session import Session, load

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Built:
    """``run`` takes the graph's arguments; ``frozen``: those whose values are compiled in."""

    run: Callable[..., Sequence[Any]]
    frozen: tuple[int, ...]
    report: CompileReport


def storage(tensor: torch.Tensor) -> int:
    """What tells dense tensors of one memory from others."""
    return tensor.untyped_storage()._cdata


def build(
    graph: GraphModule,
    arguments: Sequence[Any],
    frozen: Sequence[int],
    *,
    device: Device,
    folder: Path,
    strict: bool,
    fast_math: bool,
    precision: Precision,
) -> Built:
    """``graph`` for arguments like these, its artefacts in ``folder``.

    Raises DeviceError where there is no such device; with ``strict`` also UnsupportedError with a
    table of all that would run in eager, and what a compiler raises.
    """
    inputs = tuple(_described(a) for i, a in enumerate(arguments) if i not in frozen)
    try:
        captured, pieces, rows = _captured(graph, arguments, frozen)
    except _NotCaptured as error:
        report = _whole_in_eager(graph, arguments, inputs, error)
        if strict:
            raise report.error() from error
        return Built(graph, (), report)
    if strict and rows:
        raise _report(inputs, pieces, rows, failed={}).error()
    failed: dict[str, UnsupportedOp] = {}
    for part in pieces.parts:
        session = None
        try:
            session = _compile(part, device, folder, fast_math=fast_math, precision=precision)
        except DeviceError:
            raise
        except Exception as error:
            if strict:
                raise
            logger.debug("%s runs in eager", part.name, exc_info=True)
            failed[part.name] = _failure(part, error)
        setattr(pieces.graph, part.name, _PartCall(part, session, strict=strict))
    report = _report(inputs, pieces, rows, failed)
    return Built(_runner(pieces) if report.parts else graph, captured.frozen, report)


class _NotCaptured(Exception):
    """The whole graph runs in eager: why, and the calls to blame, where they are known."""

    def __init__(self, reason: str, rows: Sequence[UnsupportedOp] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        self.rows = tuple(rows)


def _captured(
    graph: GraphModule, arguments: Sequence[Any], frozen: Sequence[int]
) -> tuple[Captured, Split, list[UnsupportedOp]]:
    from smartmem.dialects import layout
    from smartmem.frontend.importer import survey

    try:
        captured = capture(graph, arguments, frozen)
    except SmartmemError:
        raise
    except Exception as error:
        reason = f"torch.export cannot trace it: {_first_line(error)}"
        if _share_memory(arguments):
            reason = f"it may write to arguments that share memory, and {reason}"
        raise _NotCaptured(reason) from error
    try:
        with layout.context():
            found = survey(captured.program)
        pieces = split(captured, found, arguments)
    except Exception as error:
        rows = error.rows if isinstance(error, UnsupportedError) else ()
        raise _NotCaptured(_first_line(error), rows) from error
    drawing = draws(captured.program, found.known)
    rows = [r for node, r in found.refused.items() if is_call(node) and node not in drawing]
    return captured, pieces, rows


def _share_memory(arguments: Sequence[Any]) -> bool:
    dense = [a for a in arguments if isinstance(a, torch.Tensor) and a.layout == torch.strided]
    return len(set(map(storage, dense))) < len(dense)


def _compile(
    part: Part, device: Device, folder: Path, *, fast_math: bool, precision: Precision
) -> Session:
    from smartmem.compiler import compile_model

    out = folder / f"{part.name}.smartmem"
    compile_model(
        part.module,
        part.examples,
        targets=(device.target,),
        out=out,
        fast_math=fast_math,
        precision=precision,
    )
    return load(out, device=device.uri)


class _PartCall(torch.nn.Module):
    """A part on its device, or in eager where it has no session, and for a call whose integers do
    not fit the artefact's.
    """

    def __init__(self, part: Part, session: Session | None, *, strict: bool) -> None:
        super().__init__()
        self.part = part
        self.session = session
        self.strict = strict
        self.warned = False

    def forward(self, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        if self.session is None:
            return self.part.module.eager(*inputs)
        try:
            results = self.session(*(t.resolve_conj().resolve_neg() for t in inputs))
        except UserError as error:
            if self.strict:
                raise
            if not self.warned:
                logger.warning("%s runs in eager for such inputs: %s", self.part.name, error)
                self.warned = True
            return self.part.module.eager(*inputs)
        return tuple(map(_as_traced, results, self.part.results))


def _as_traced(result: torch.Tensor, traced: torch.Tensor) -> torch.Tensor:
    """``result`` with the strides that eager's has, which views of it and users may rely on."""
    dims = list(zip(traced.shape, result.stride(), traced.stride(), strict=True))
    same = all(size == 1 or ours == theirs for size, ours, theirs in dims)
    # An expanded tensor repeats its elements in memory: it cannot be written to.
    if same or any(size > 1 and theirs == 0 for size, _, theirs in dims):
        return result
    made = torch.empty_strided(traced.shape, traced.stride(), dtype=result.dtype)
    return made.copy_(result)


def _runner(pieces: Split) -> Callable[..., Sequence[Any]]:
    def run(*arguments: Any) -> Sequence[Any]:
        values = list(pieces.graph(*arguments))
        for position, index in pieces.written:
            values[index] = arguments[position].copy_(values[index])
        return tuple(result.of(values) for result in pieces.results)

    return run


def _report(
    inputs: tuple[str, ...],
    pieces: Split,
    rows: Sequence[UnsupportedOp],
    failed: dict[str, UnsupportedOp],
) -> CompileReport:
    inside = [call for part in pieces.parts for call in part.calls]
    eager = [*pieces.eager, *(c for p in pieces.parts if p.name in failed for c in p.calls)]
    return CompileReport(
        inputs=inputs,
        ops=len(inside) + len(pieces.eager),
        eager_ops=len(eager),
        flops=sum(map(flops, (*inside, *pieces.eager))),
        eager_flops=sum(map(flops, eager)),
        parts=len(pieces.parts) - len(failed),
        crossings=pieces.crossings,
        draws=pieces.draws,
        unsupported=(*rows, *failed.values()),
    )


def _failure(part: Part, error: Exception) -> UnsupportedOp:
    return UnsupportedOp(
        op=f"a part of {len(part.calls)} ops",
        location=f"{source_of(part.calls[0])} to {source_of(part.calls[-1])}",
        reason=f"{type(error).__name__}: {error}",
        remedy="report it with this text",
    )


def _whole_in_eager(
    graph: GraphModule, arguments: Sequence[Any], inputs: tuple[str, ...], error: _NotCaptured
) -> CompileReport:
    calls = [n for n in graph.graph.nodes if n.op.startswith("call")]
    whole = UnsupportedOp(
        op="the whole graph",
        location=str(source_of(calls[0])) if calls else "no call",
        reason=error.reason,
        remedy="rewrite that call, or put it behind torch._dynamo.disable",
    )
    count, work = len(calls), flops_of(graph, arguments)
    return CompileReport(inputs, count, count, work, work, 0, 0, (whole, *error.rows))


def _described(argument: Any) -> str:
    if not isinstance(argument, torch.Tensor):
        return repr(argument)
    return f"{str(argument.dtype).removeprefix('torch.')}{list(argument.shape)}"


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]
