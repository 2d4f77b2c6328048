"""A PyTorch model becomes a functional ATen graph in which layout-bearing and composite ops stay
whole.

PyTorch's default table would turn roll into arange/fmod/index_select, layer_norm into a dozen
generics and softmax into an argmax; the index maps and the families the passes reason about would
be lost. So the table is PyTorch's, less the ops that have a family of their own here.
"""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch.export import ExportedProgram

from smartmem.errors import UserError
from smartmem.frontend import decompositions
from smartmem.frontend.source import source_of
from smartmem.frontend.tracing import traced, untraceable

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


def decomposition_table() -> Mapping[Any, Callable[..., Any]]:
    """PyTorch's default decompositions without the ops in ``KEPT_WHOLE``, and our own."""
    table = dict(torch.export.default_decompositions())
    for op in list(table):
        if op._schema.name.split("::")[1] in KEPT_WHOLE:
            table.pop(op)
    return table | decompositions.table()


def export(
    source: torch.nn.Module | ExportedProgram,
    example_inputs: tuple[Any, ...],
    example_kwargs: Mapping[str, Any] | None = None,
) -> ExportedProgram:
    """``source`` as a functional graph for inference with the shapes of ``example_inputs``.

    Raises UserError where ``torch.export`` refuses it or an op of training mode is left in the
    graph, UnsupportedError where its Python depends on the values of a tensor.
    """
    if not isinstance(source, ExportedProgram):
        source = _trace(source, example_inputs, example_kwargs or {})
    with torch.no_grad(), warnings.catch_warnings():
        # PyTorch copies its own pytree specs through a class it has deprecated.
        warnings.filterwarnings("ignore", message=".*LeafSpec.*", category=FutureWarning)
        program = source.run_decompositions(dict(decomposition_table()))
    _refuse_training(program)
    return program


def _refuse_training(program: ExportedProgram) -> None:
    """UserError where the graph holds an op that only training mode makes."""
    for node in program.graph.nodes:
        name, _, overload = str(node.target).removeprefix("aten.").partition(".")
        # Without running statistics (instance norm) both modes use the batch's own.
        if name in _TRAINING_ONLY and overload != "no_stats":
            raise UserError(
                f"the model is in training mode: {node.target} at {source_of(node)}",
                hint="smartmem compiles for inference: call model.eval() first.",
            )


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
