"""A PyTorch model becomes a functional ATen graph in which layout-bearing and composite ops stay
whole.

PyTorch's default table would turn roll into arange/fmod/index_select, layer_norm into a dozen
generics and softmax into an argmax; the index maps and the families the passes reason about would
be lost. So the table is PyTorch's, less the ops that have a family of their own here.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch.export import ExportedProgram
from torch.export._tree_utils import reorder_kwargs
from torch.utils._pytree import tree_leaves

from smartmem.errors import UnsupportedError, UnsupportedOp, UserError, not_supported
from smartmem.frontend import decompositions, types
from smartmem.frontend.settle import settled
from smartmem.frontend.source import source_of
from smartmem.frontend.tracing import traced, untraceable
from smartmem.runtime.narrowing import refuse_outside
from smartmem.runtime.session import as_numpy

# Kept whole: ops with a handler of their own in this folder (by ATen base name, all overloads).
KEPT_WHOLE = frozenset(
    [
        "adaptive_avg_pool1d",
        "adaptive_avg_pool2d",
        "adaptive_avg_pool3d",
        "addmm",
        "avg_pool1d",
        "avg_pool2d",
        "avg_pool3d",
        "baddbmm",
        "bmm",
        "elu",
        "gelu",
        "group_norm",
        "hardsigmoid",
        "hardswish",
        "hardtanh",
        "layer_norm",
        "leaky_relu",
        "linear",
        "log_softmax",
        "_log_softmax",
        "matmul",
        "max_pool2d",
        "max_pool3d",
        "mish",
        "native_layer_norm",
        "constant_pad_nd",
        "pixel_shuffle",
        "pixel_unshuffle",
        "roll",
        "scaled_dot_product_attention",
        "silu",
        "softmax",
        "_softmax",
        "softplus",
        "take",
    ]
)

# What dropout and batch norm become in training mode, by ATen base name.
_TRAINING_ONLY = frozenset(
    [
        "alpha_dropout",
        "bernoulli",
        "dropout",
        "feature_dropout",
        "native_batch_norm",
        "native_dropout",
        "rrelu_with_noise",
        "_native_batch_norm_legit",
        "_native_batch_norm_legit_functional",
        "_batch_norm_with_update_functional",
    ]
)


def decomposition_table(*, training: bool = False) -> Mapping[Any, Callable[..., Any]]:
    """PyTorch's default decompositions without the ops in ``KEPT_WHOLE``, and our own; those of
    training mode on request.
    """
    table = dict(torch.export.default_decompositions())
    for op in list(table):
        if op._schema.name.split("::")[1] in KEPT_WHOLE:
            table.pop(op)
    return table | decompositions.table(training=training)


def export(
    source: torch.nn.Module | ExportedProgram,
    example_inputs: tuple[Any, ...],
    example_kwargs: Mapping[str, Any] | None = None,
    *,
    training: bool = False,
) -> ExportedProgram:
    """``source`` as a functional graph for the shapes of ``example_inputs``.

    training: take ops of training mode too; the graph may then draw random numbers and write to
    its buffers.

    Raises UserError where ``torch.export`` refuses it, an op of training mode is left in the graph
    or an example does not fit the type that artefacts have for it; UnsupportedError where its
    Python depends on the values of a tensor, or an input or weight is sparse.
    """
    if not isinstance(source, ExportedProgram):
        source = _trace(source, example_inputs, example_kwargs or {})
    if not training:
        _refuse_layouts(source)
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch copies its own pytree specs through a class it has deprecated.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        table = dict(decomposition_table(training=training))
        program = source.run_decompositions(dict(table))
        fixed = settled(program)
        if fixed is not None:
            program = fixed.run_decompositions(dict(table))
    if not training:
        _refuse_training(program)
    _refuse_wide(program, example_inputs, example_kwargs or {})
    return program


def _refuse_layouts(program: ExportedProgram) -> None:
    """UnsupportedError with a row for each input, parameter and buffer that is not dense."""
    rows: list[UnsupportedOp] = []
    for spec in program.graph_signature.input_specs:
        node = next(n for n in program.graph.nodes if n.name == spec.arg.name)
        value = node.meta.get("val")
        if isinstance(value, torch.Tensor) and value.layout != torch.strided:
            kind = spec.kind.name.lower().replace("_", " ").removeprefix("user ")
            reason = f"a tensor of layout {value.layout} is not supported"
            name = f"'{spec.target or spec.arg.name}'"
            rows.append(UnsupportedOp(kind, name, reason, "make it dense: tensor.to_dense()"))
    if rows:
        raise UnsupportedError(not_supported(len(rows)), rows)


def _refuse_training(program: ExportedProgram) -> None:
    """UserError where the graph holds an op that only training mode makes."""
    for node in program.graph.nodes:
        name, _, overload = str(node.target).removeprefix("aten.").partition(".")
        # Without running statistics (instance norm) both modes use the batch's own.
        if name in _TRAINING_ONLY and overload != "no_stats":
            raise UserError(
                f"the model is in training mode: {node.target} at {source_of(node)}",
                hint="smartmem compiles for inference: call model.eval() first, or pass "
                "training=False.",
            )


def _refuse_wide(
    program: ExportedProgram, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """UserError where an int64 input is beyond the int32 of the artefact, as when it is called."""
    ordered = reorder_kwargs(dict(kwargs), program.call_spec.in_spec) if kwargs else {}
    # A program that is given without example inputs has none to check.
    leaves = tree_leaves((args, ordered))
    for name, leaf in zip(program.graph_signature.user_inputs, leaves, strict=False):
        if isinstance(leaf, torch.Tensor) and leaf.dtype == torch.int64 and not leaf.is_meta:
            refuse_outside(str(name), as_numpy(leaf), np.dtype(types.stored_dtype(leaf.dtype)))


def _trace(
    module: torch.nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> ExportedProgram:
    if not isinstance(module, torch.nn.Module):
        raise UserError(
            f"expected a torch.nn.Module or an ExportedProgram, got {type(module).__name__}"
        )
    try:
        return traced(module, args, kwargs)
    except Exception as error:
        raise untraceable(module, error) from error
