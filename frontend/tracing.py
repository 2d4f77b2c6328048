"""``torch.export``, kept quiet, and what it cannot trace told in one message.

A model whose Python depends on the values of tensors is unsupported, with a row for the table; any
other failure is the caller's error.
"""

import io
import logging
import sys
import traceback
from collections.abc import Generator, Mapping
from contextlib import contextmanager, redirect_stderr
from types import SimpleNamespace
from typing import Any

import torch
from torch._subclasses.fake_tensor import DataDependentOutputException, DynamicOutputShapeException
from torch.export import ExportedProgram
from torch.fx.experimental.symbolic_shapes import GuardOnDataDependentSymNode

from smartmem.debug import is_debug
from smartmem.errors import SmartmemError, UnsupportedError, UnsupportedOp, UserError
from smartmem.frontend.remedies import remedy_of
from smartmem.frontend.source import source_of

_DATA_DEPENDENT = (
    GuardOnDataDependentSymNode,
    DataDependentOutputException,
    DynamicOutputShapeException,
)
# Where PyTorch's own rewritings of ops lie: a function there has the op's name.
_DECOMPOSITIONS = "/torch/_decomp/"


def traced(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any] | None = None
) -> ExportedProgram:
    """``module`` for inference, as ``torch.export`` captures and raises it."""
    with torch.no_grad(), _quiet():
        return torch.export.export(module, args, dict(kwargs or {}), strict=False)


@contextmanager
def _quiet() -> Generator[None]:
    """Without torch's log, and without the graph that ``torch.export`` prints where it fails. What
    the model itself writes to stderr comes late.
    """
    if is_debug():
        yield
        return
    graph, written = "", io.StringIO()
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        with redirect_stderr(written):
            yield
    except Exception as error:
        if hasattr(error, "partial_fx_graph"):
            graph = f"{error.partial_fx_graph}\n"
        raise
    finally:
        logging.disable(before)
        sys.stderr.write(written.getvalue().replace(graph, ""))


def untraceable(module: torch.nn.Module, error: Exception) -> SmartmemError:
    """What ``torch.export`` refused, in a line, and the innermost line of the model."""
    name = type(module).__name__
    stack = "".join(traceback.format_tb(error.__traceback__)) + str(error)
    place = source_of(SimpleNamespace(meta={"stack_trace": stack}))
    if isinstance(error, _DATA_DEPENDENT):
        row = _data_dependent(error, str(place))
        return UnsupportedError(f"{name} depends on the values of a tensor", [row])
    first = (str(error).strip().splitlines() or [type(error).__name__])[0]
    where = f" at {place}" if place.file else ""
    return UserError(
        f"torch.export could not trace {name}{where}: {first}",
        hint="smartmem compiles what torch.export can trace. SMARTMEM_DEBUG=1 shows all it says.",
    )


def _data_dependent(error: Exception, location: str) -> UnsupportedOp:
    op = _blamed(error)
    if op is None:
        reason = "the model's control flow depends on the values of a tensor"
    else:
        reason = "its result is a number or a shape that depends on the values of a tensor"
    return UnsupportedOp(op or "control flow", location, reason, remedy_of(op or "control flow"))


def _blamed(error: Exception) -> str | None:
    """The op that asked for a value; None where the model's own Python did."""
    if isinstance(error, (DataDependentOutputException, DynamicOutputShapeException)):
        return str(error.func)
    frames = traceback.extract_tb(error.__traceback__)
    names = [frame.name for frame in frames if _DECOMPOSITIONS in frame.filename]
    return f"aten.{names[0]}.default" if names else None
