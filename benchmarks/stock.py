"""The yardstick: the same torch model compiled by stock IREE, to the stream phase or to a module.

Torch export, the decompositions IREE's torch front end wants, ``FxImporter``, ``iree-compile
--iree-input-type=torch``. smartmem itself never uses that importer: this exists so that
``passes/iree/count`` can read what stock IREE makes of a model. The road is made as good for stock
IREE as its front end allows: ops it lowers itself (softmax, roll, linear) stay whole, and
attention is decomposed into matmul, softmax, matmul, since stock IREE cannot compile
``scaled_dot_product_attention`` for Vulkan (``whole_attention`` leaves it to the front end, for
where it can).

Weights are constants in the module, so that stock IREE may fold layout work into them at compile
time. Their data is elided from all text that is returned.
"""

import math
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from smartmem.errors import CompileError, UnsupportedError, UnsupportedOp

if TYPE_CHECKING:
    import torch

_ELIDE = ("--mlir-elide-resource-strings-if-larger=64", "--mlir-elide-elementsattrs-if-larger=64")
_ERROR_LINES = 6


def stock_stream_ir(
    model: "torch.nn.Module | torch.export.ExportedProgram",
    example_inputs: Sequence[Any],
    target_flags: Sequence[str],
    example_kwargs: Mapping[str, Any] | None = None,
) -> str:
    """The stream-phase IR stock IREE makes of ``model``: with locations, without weight data.

    ``target_flags`` are flags of ``iree-compile`` that choose device and target. Raises
    ``UnsupportedError`` naming the torch ops IREE's front end lacks, or ``CompileError`` with the
    compiler's message.
    """
    with tempfile.TemporaryDirectory(prefix="smartmem-stock-") as folder:
        source = Path(folder) / "model.mlirbc"
        write_stock_source(model, example_inputs, source, example_kwargs)
        output = Path(folder) / "stream.mlir"
        flags = ["--compile-to=stream", "--mlir-print-debuginfo", *_ELIDE]
        _compile(source, output, [*target_flags, *flags])
        return output.read_text()


@dataclass(frozen=True)
class StockModule:
    """A module that stock IREE compiled: its stream-phase IR, and the seconds it took."""

    stream_ir: str
    seconds: float


def write_stock_source(
    model: "torch.nn.Module | torch.export.ExportedProgram",
    example_inputs: Sequence[Any],
    path: Path,
    example_kwargs: Mapping[str, Any] | None = None,
    *,
    whole_attention: bool = False,
) -> bool:
    """What stock IREE's torch importer makes of ``model``, weights included, for ``compile_stock``.

    True where it holds an attention op, which is so with ``whole_attention`` only. Raises
    ``UnsupportedError`` or ``CompileError``, as ``stock_stream_ir`` does.
    """
    table = dict(_decompositions())
    if whole_attention:
        del table[_attention()]
    program = _exported(model, tuple(example_inputs), dict(example_kwargs or {}), table)
    module = _import(program)
    with path.open("wb") as file:
        module.operation.write_bytecode(file)
    return any(node.target is _attention() for node in program.graph.nodes)


def _attention() -> Any:
    import torch

    return torch.ops.aten.scaled_dot_product_attention.default


def compile_stock(
    source: Path, vmfb: Path, flags: Sequence[str], limit_s: float | None = None
) -> StockModule:
    """Compile what ``write_stock_source`` wrote; the phases are dumped beside ``vmfb``.

    Raises ``UnsupportedError`` or ``CompileError``, also where it takes more than ``limit_s``.
    """
    with tempfile.TemporaryDirectory(prefix="smartmem-stock-") as folder:
        started = time.perf_counter()
        # The elision is of what is printed: the module keeps its weights.
        _compile(source, vmfb, [*flags, f"--dump-compilation-phases-to={folder}", *_ELIDE], limit_s)
        seconds = time.perf_counter() - started
        (stream,) = Path(folder).glob("*.stream.mlir")
        return StockModule(stream.read_text(), seconds)


def _compile(
    source: Path, output: Path, flags: Sequence[str], limit_s: float | None = None
) -> None:
    """Run iree-compile on a module of the torch dialect."""
    from iree.compiler.tools.binaries import find_tool

    command = [
        find_tool("iree-compile"),
        str(source),
        "--iree-input-type=torch",
        *flags,
        "-o",
        str(output),
    ]
    try:
        result = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        raise CompileError(
            f"stock IREE did not compile this model within {limit_s:.0f} s"
        ) from error
    # A pass pipeline that iree-compile does not understand is an error it goes on after.
    if result.returncode or "error:" in result.stderr:
        raise _failure(source, result.stderr)


def _exported(
    model: "torch.nn.Module | torch.export.ExportedProgram",
    example_inputs: tuple[Any, ...],
    example_kwargs: dict[str, Any],
    table: dict[Any, Callable[..., Any]],
) -> "torch.export.ExportedProgram":
    """The exported program with the decompositions of ``table``."""
    import torch

    program = model
    if isinstance(model, torch.nn.Module):
        with torch.no_grad():
            program = torch.export.export(model.eval(), example_inputs, example_kwargs)
    assert isinstance(program, torch.export.ExportedProgram)
    with warnings.catch_warnings():
        # PyTorch copies its own pytree specs through a class it has deprecated.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        return program.run_decompositions(table)


def _decompositions() -> Mapping[Any, Callable[..., Any]]:
    """Decompositions of ops that IREE's torch front end does not take, or takes only in pieces."""
    import torch
    from torch._decomp import get_decompositions

    aten = torch.ops.aten
    table: dict[Any, Callable[..., Any]] = get_decompositions(
        [
            aten.native_layer_norm,
            aten.native_group_norm,
            aten._native_batch_norm_legit,
            aten._native_batch_norm_legit.no_stats,
            aten._native_batch_norm_legit_functional,
            aten._native_batch_norm_legit_no_training,
            aten.addmm,
            aten.t,
            aten.split.Tensor,
            aten.split_with_sizes,
            aten.unsafe_split.Tensor,
            aten.squeeze.dims,
            aten.unbind,
            aten.masked_fill.Tensor,
            aten.masked_fill.Scalar,
            aten.full,
            aten.lift_fresh_copy,
            aten._to_copy,
            aten._log_softmax,
            aten._adaptive_avg_pool2d,
            aten._unsafe_index.Tensor,
            aten._prelu_kernel,
            aten.upsample_bilinear2d.vec,
            aten.im2col,
            aten.grid_sampler_2d,
            aten.dot,
        ]
    )
    return {
        **table,
        _attention(): decomposed_attention,
        aten.__and__.Tensor: torch.bitwise_and,
        aten.__or__.Tensor: torch.bitwise_or,
    }


def decomposed_attention(
    query: "torch.Tensor",
    key: "torch.Tensor",
    value: "torch.Tensor",
    attn_mask: "torch.Tensor | None" = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> "torch.Tensor":
    """Attention as matmul, softmax, matmul; dropout is off in inference."""
    import torch

    if enable_gqa:
        repeats = query.shape[-3] // key.shape[-3]
        key, value = (tensor.repeat_interleave(repeats, dim=-3) for tensor in (key, value))
    factor = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = torch.matmul(query, key.transpose(-2, -1)) * factor
    if is_causal:
        rows, columns = query.shape[-2], key.shape[-2]
        attn_mask = torch.ones(rows, columns, dtype=torch.bool, device=query.device).tril()
    if attn_mask is not None:
        mask = attn_mask
        if mask.dtype == torch.bool:
            zeros = torch.zeros(mask.shape, dtype=query.dtype, device=query.device)
            mask = zeros.masked_fill(mask.logical_not(), float("-inf"))
        scores = scores + mask
    return torch.matmul(torch.softmax(scores, dim=-1), value)


def _import(program: "torch.export.ExportedProgram") -> Any:
    """The program in IREE's torch dialect."""
    from iree.compiler.extras.fx_importer import FxImporter

    from smartmem.passes.iree.phase_ir import ir

    importer = FxImporter(context=ir.Context())
    try:
        importer.import_program(program, func_name="main")
    except (NotImplementedError, RuntimeError, TypeError, KeyError) as error:
        raise CompileError(
            f"stock IREE's FX importer cannot import this model: {error}",
            hint="there is no stock baseline for this model",
        ) from error
    return importer.module


def _failure(source: Path, message: str) -> Exception:
    """The error for a failed compile: torch ops IREE does not know, or what it said."""
    what = "stock IREE cannot compile this model"
    rows = _foreign_ops(source) if "torch.operator" in message else []
    if rows:
        return UnsupportedError(f"{what}: its torch front end lacks these ops", rows)
    errors = [line for line in message.splitlines() if "error:" in line][:_ERROR_LINES]
    return CompileError(f"{what}: " + "\n".join(errors or message.splitlines()[-_ERROR_LINES:]))


def _foreign_ops(source: Path) -> list[UnsupportedOp]:
    """Torch ops that the importer could only wrap as an opaque ``torch.operator``, each once."""
    from smartmem.passes.iree import phase_ir
    from smartmem.passes.iree.phase_ir import ir

    module = ir.Module.parse(source.read_bytes(), context=ir.Context())
    rows: dict[str, UnsupportedOp] = {}
    for op in phase_ir.named(module.operation, "torch.operator"):
        name = str(op.attributes["name"].value).removeprefix("torch.")
        location = phase_ir.source_location(op) or "unknown location"
        reason = "IREE's torch dialect has no such op"
        remedy = "give the stock compile a decomposition for it"
        rows.setdefault(name, UnsupportedOp(name, location, reason, remedy))
    return list(rows.values())
