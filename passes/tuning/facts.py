"""What of a dispatch tells how long it takes: its work, as numbers a cost model can learn from.

A dispatch is a few structured ops; the one with most iterations is its root. Numbers of work are
logarithms, so that a model of sums learns products of powers, and one that compares dispatches
compares ratios.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import log2, prod
from typing import Literal

from smartmem.passes.iree import count, phase_ir
from smartmem.passes.iree.isolate import entry_functions
from smartmem.passes.iree.phase_ir import Op, ir
from smartmem.passes.rules.kernels import KernelConfig

Kind = Literal["contraction", "window", "reduction", "gather", "elementwise", "move"]
KINDS: tuple[Kind, ...] = ("contraction", "window", "reduction", "gather", "elementwise", "move")

# Operations of a call of libm, as it shows in times on the software device.
_SLOW_OPS = 20
_NUMBER = re.compile(r"^.*?_dispatch_\d+_?")
_LANES = 4


@dataclass(frozen=True)
class Facts:
    """A dispatch for the cost model. ``key`` names op, shapes, layouts and dtypes: dispatches of
    one key are the same, constants aside. ``numbers`` are what the model learns from.
    """

    key: str
    kind: Kind
    numbers: tuple[float, ...]


@dataclass(frozen=True)
class Step:
    """What one call of a model does ``calls`` times; ``location`` is the Python line."""

    facts: Facts
    calls: int
    location: str | None
    entry: str


def steps(stream_ir: str, kernels: Mapping[str, KernelConfig]) -> list[Step]:
    """The dispatches, copies and fills of a call; ``kernels`` are the configured dispatches, by
    function. Raises ``ValueError`` on bad text.
    """
    module = phase_ir.parse(stream_ir).operation
    functions = entry_functions(module)
    known = {
        entry: _of_dispatch(entry, function, kernels.get(phase_ir.symbol(function)))
        for entry, function in functions.items()
    }
    return [
        Step(known.get(w.name) or move(w.kind, w.bytes // w.calls), w.calls, w.location, w.name)
        for w in count.count(stream_ir).table
    ]


def move(kind: str, size_bytes: int) -> Facts:
    """A copy or a fill that reads and writes so many bytes."""
    numbers = _numbers(size_bytes / 4, size_bytes, size_bytes / 4, size_bytes / 4, 1, 1, 0, 0, None)
    return Facts(f"{kind} {size_bytes} bytes", "move", numbers)


def _of_dispatch(entry: str, function: Op, config: KernelConfig | None) -> Facts:
    ops = list(_loops(function))
    tensors = [t for op in phase_ir.walk(function) if (t := _subspan(op)) is not None]
    size_bytes = sum(phase_ir.size_bytes(phase_ir.numel_of(t) or 0, t) for t in tensors)
    root = max(ops, key=lambda loops: loops.iterations * loops.work, default=None)
    if root is None:
        return Facts(_key(entry, tensors, config), "move", move("", size_bytes).numbers)
    has_gather = any(op.name == "tensor.extract" for op in phase_ir.walk(function))
    kind: Kind = "gather" if has_gather and root.kind == "elementwise" else root.kind
    numbers = _numbers(
        sum(loops.iterations * loops.work for loops in ops),
        size_bytes,
        root.iterations,
        root.results,
        root.iterations / max(root.results, 1),
        len(ops),
        root.columns % _LANES == 0,
        has_gather,
        config,
    )
    return Facts(_key(entry, tensors, config), kind, numbers)


def _numbers(
    work: float,
    size_bytes: float,
    iterations: float,
    results: float,
    depth: float,
    ops: int,
    in_vectors: float,
    gathers: float,
    config: KernelConfig | None,
) -> tuple[float, ...]:
    threads = prod(config.threads) if config else 1
    held = prod(n for n in config.thread if n) if config else 1
    logs = (log2(max(v, 1)) for v in (work, size_bytes, iterations, results, depth, threads, held))
    return (*logs, float(ops), float(in_vectors), float(gathers), float(config is not None))


@dataclass(frozen=True)
class _Loops:
    """A structured op: iterations, operations in each, elements of its result, its last extent."""

    iterations: int
    work: float
    results: int
    columns: int
    kind: Kind


def _loops(function: Op) -> Iterator[_Loops]:
    for op in phase_ir.walk(function):
        if not op.name.startswith(("linalg.", "iree_linalg_ext.")) or not len(op.results):
            continue
        shape = phase_ir.shape_of(op.results[0].type)
        if shape is None or op.name == "linalg.fill":
            continue
        results, columns = prod(shape), shape[-1] if shape else 1
        maps = phase_ir.affine_maps(op)
        if maps:
            extents = phase_ir.loop_extents(op)
            iterations = prod(extents.get(d, 1) for d in range(maps[0].n_dims))
            yield _Loops(iterations, _work(op), results, columns, _kind(op))
            continue
        inputs, _ = phase_ir.structured_operands(op)
        window = phase_ir.shape_of(inputs[1].type) if len(inputs) > 1 else None
        if window is None:
            yield _Loops(results, 1.0, results, columns, "elementwise")
        else:
            # A convolution's filter ends with the channels of its result; a pooling's is a window.
            each = prod(window[:-1]) if "conv" in op.name else prod(window)
            yield _Loops(results * each, 2.0, results, columns, "window")


def _work(op: Op) -> float:
    names = [inner.name for inner in phase_ir.body_ops(op)]
    return 1.0 + sum(_SLOW_OPS if name.startswith("math.") else 1 for name in names[:-1])


def _kind(op: Op) -> Kind:
    kinds = phase_ir.iterator_types(op)
    if kinds and "reduction" not in kinds:
        return "elementwise"
    # What has maps and a name, but no kinds of loops, is a matmul.
    if kinds and not phase_ir.is_sum_of_products(op):
        return "reduction"
    plain = all(
        isinstance(e, ir.AffineDimExpr) for m in phase_ir.affine_maps(op) for e in m.results
    )
    return "contraction" if plain else "window"


def _subspan(op: Op) -> object | None:
    is_subspan = op.name == "stream.binding.subspan"
    return phase_ir.tensor_type(op.results[0].type) if is_subspan else None


def _key(entry: str, tensors: list[object], config: KernelConfig | None) -> str:
    """The name that IREE gives what a dispatch computes, its tensors, and its tiles, if ours."""
    types = " ".join(str(t).removeprefix("tensor<").removesuffix(">") for t in tensors)
    tiles = hashlib.sha256(repr(config).encode()).hexdigest()[:8] if config else "iree"
    return f"{_NUMBER.sub('', entry)} {types} {tiles}"
