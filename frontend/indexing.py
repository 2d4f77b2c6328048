"""Import of look-ups and updates by index: gather and scatter and what is made of them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend.registry import Refusal, imports

Value = Any


@imports("embedding.default", moves_only=True)
def embedding(ctx: Any, weight: Value, indices: Value, **_: Any) -> Value:
    """Rows of a table."""
    return build.gather(weight, indices, 0)


def _row(value: Value) -> Value:
    """``value`` with at least one dim."""
    return value if build.shape(value) else build.reshape(value, (1,))


def _positions(index: Value) -> Value:
    """An index as int32, of at least one dim."""
    return build.cast(_row(index), ir.IntegerType.get_signless(32))


@imports("index_select.default", moves_only=True)
def index_select(ctx: Any, self: Value, dim: int, index: Value) -> Value:
    """Positions of an axis, by a list; unlike in indexing, none counts from the end."""
    rows = _row(self)
    taken = build.gather(rows, _row(index), dim % len(build.shape(rows)))
    return build.reshape(taken, ctx.result.shape)


@imports("gather.default", moves_only=True)
def gather(ctx: Any, self: Value, dim: int, index: Value, sparse_grad: bool) -> Value:
    """An element per index, along one axis."""
    rows = _row(self)
    taken = build.gather_elements(rows, _row(index), dim % len(build.shape(rows)))
    return build.reshape(taken, ctx.result.shape)


@imports("take.default", moves_only=True)
def take(ctx: Any, self: Value, index: Value) -> Value:
    """Elements by their position in the flattened tensor."""
    count = math.prod(build.shape(self))
    return build.gather(build.reshape(self, (count,)), _wrapped(index, count), 0)


def _fitted(value: Value, own: Sequence[int], dim: int, sizes: Sequence[int], fill: float) -> Value:
    """``value`` cut to ``sizes``, then padded to ``own`` outside ``dim``."""
    cut = build.slice_(value, [0] * len(own), sizes, [1] * len(own))
    high = [0 if a == dim else o - s for a, (o, s) in enumerate(zip(own, sizes, strict=True))]
    return build.pad(cut, [0] * len(own), high, fill)


@dataclass(frozen=True)
class _Updates:
    """Updates of ``rows`` along ``dim``, of the same sizes outside it."""

    rows: Value
    dim: int
    positions: Value
    values: Value

    def into(self, base: Value, kind: str) -> Value:
        """``base`` with the updates."""
        return build.scatter(base, self.positions, self.values, self.dim, kind)

    def counts(self) -> Value:
        """How many updates each element gets."""
        integer = ir.IntegerType.get_signless(32)
        none = build.splat(0, integer, build.shape(self.rows))
        ones = build.splat(1, integer, build.shape(self.values))
        return build.scatter(none, self.positions, ones, self.dim, "sum")


def _updates(self: Value, dim: int, index: Value, src: Any) -> _Updates:
    """Of ``scatter`` and its kin: a place for every source element within the size of ``index``.

    Where ``index`` is smaller than ``self``, positions of -1 stand for no update.
    """
    rows, positions = _row(self), _positions(index)
    own, sizes, element = build.shape(rows), build.shape(positions), build.element_type(rows)
    dim %= len(own)
    if isinstance(src, ir.Value):
        values = _row(build.cast(src, element))
    else:
        values = build.splat(src, element, sizes)
    return _Updates(
        rows,
        dim,
        _fitted(positions, own, dim, sizes, -1),
        _fitted(values, own, dim, sizes, 0),
    )


@imports("scatter.src", "scatter.reduce")
def scatter(
    ctx: Any, self: Value, dim: int, index: Value, src: Value, reduce: str | None = None
) -> Value:
    """Elements written to the positions along one axis; the last of several wins."""
    return _scattered(ctx, _updates(self, dim, index, src), reduce)


@imports("scatter.value", "scatter.value_reduce")
def scatter_value(
    ctx: Any, self: Value, dim: int, index: Value, value: float, reduce: str | None = None
) -> Value:
    """One number written to the positions along one axis."""
    return _scattered(ctx, _updates(self, dim, index, value), reduce)


def _scattered(ctx: Any, updates: _Updates, reduce: str | None) -> Value:
    kind = {None: "set", "add": "sum", "multiply": "prod"}[reduce]
    return build.reshape(updates.into(updates.rows, kind), ctx.result.shape)


@imports("scatter_add.default")
def scatter_add(ctx: Any, self: Value, dim: int, index: Value, src: Value) -> Value:
    """Elements added at the positions along one axis."""
    updates = _updates(self, dim, index, src)
    return build.reshape(updates.into(updates.rows, "sum"), ctx.result.shape)


_REDUCES = {"sum": "sum", "mean": "sum", "prod": "prod", "amax": "max", "amin": "min"}


def _neutral(kind: str, dtype: torch.dtype) -> float:
    """What changes nothing under ``kind``."""
    if kind in ("sum", "prod"):
        return 0 if kind == "sum" else 1
    if dtype.is_floating_point:
        return -math.inf if kind == "max" else math.inf
    # int64 is held as int32.
    limits = torch.iinfo(torch.int32 if dtype == torch.int64 else dtype)
    return limits.min if kind == "max" else limits.max


def _reduced(ctx: Any, updates: _Updates, reduce: str, include_self: bool) -> Value:
    """Updates combined with each other and, if ``include_self``, with what they meet."""
    kind, rows, element = _REDUCES[reduce], updates.rows, ctx.element()
    if include_self and reduce != "mean":
        return build.reshape(updates.into(rows, kind), ctx.result.shape)
    counts = updates.counts()
    hit = build.elementwise("gt", counts, build.splat(0, build.element_type(counts)))
    base = rows
    if not include_self:
        nothing = build.splat(_neutral(kind, ctx.result.dtype), element)
        base = build.elementwise("where", hit, nothing, rows)
    result = updates.into(base, kind)
    if reduce == "mean":
        own = build.splat(int(include_self), build.element_type(counts))
        one = build.splat(1, build.element_type(counts))
        divisor = build.elementwise("maximum", build.elementwise("add", counts, own), one)
        fn = "floor_div" if isinstance(element, ir.IntegerType) else "div"
        result = build.elementwise(fn, result, build.cast(divisor, element))
    return build.reshape(result, ctx.result.shape)


@imports("scatter_reduce.two")
def scatter_reduce(
    ctx: Any, self: Value, dim: int, index: Value, src: Value, reduce: str, include_self: bool
) -> Value:
    """Elements combined at the positions along one axis."""
    return _reduced(ctx, _updates(self, dim, index, src), reduce, include_self)


@imports("index_reduce.default")
def index_reduce(
    ctx: Any, self: Value, dim: int, index: Value, source: Value, reduce: str, include_self: bool
) -> Value:
    """Slices combined at the positions of a list."""
    rows = _row(self)
    updates = _Updates(rows, dim % len(build.shape(rows)), _positions(index), _row(source))
    return _reduced(ctx, updates, reduce, include_self)


@imports("masked_scatter.default")
def masked_scatter(ctx: Any, self: Value, mask: Value, source: Value) -> Value:
    """The source's elements, in order, where the mask is true: each looks up how many are before
    it.
    """
    integer = ir.IntegerType.get_signless(32)
    own, count = ctx.result.shape, math.prod(ctx.result.shape)
    flags = build.cast(build.reshape(build.expand(mask, own), (count,)), integer)
    places = build.elementwise("sub", build.scan(flags, "sum", 0), build.splat(1, integer))
    flat = build.reshape(source, (math.prod(build.shape(source)),))
    taken = build.reshape(build.gather(flat, places, 0), own)
    return build.elementwise("where", mask, taken, build.expand(self, own))


def _wrapped(index: Value, size: int) -> Value:
    """Negative positions count from the end."""
    integer = build.element_type(index)
    negative = build.elementwise("lt", index, build.splat(0, integer))
    from_end = build.elementwise("add", index, build.splat(size, integer))
    return build.elementwise("where", negative, from_end, index)


def _static_positions(ctx: Any) -> list[torch.Tensor] | None:
    """The index tensors where all of them are known at compile time."""
    given = [n for n in ctx.node.args[1] if n is not None]
    known = [ctx.known.get(n) for n in given]
    return [k for k in known if k is not None] if all(k is not None for k in known) else None


@dataclass(frozen=True)
class _Indexed:
    """The indexed axes of a tensor brought together and flattened, at ``axis`` of ``flat``.

    ``order`` are the tensor's axes, ``sizes`` theirs, in that order; ``axes`` the indexed ones.
    """

    flat: Value
    axis: int
    axes: tuple[int, ...]
    order: tuple[int, ...]
    sizes: tuple[int, ...]

    def indexed_sizes(self) -> tuple[int, ...]:
        """Sizes of the indexed axes."""
        return self.sizes[self.axis : self.axis + len(self.axes)]

    def restored(self, flat: Value) -> Value:
        """A tensor like ``flat`` in the axes of the original."""
        back = sorted(range(len(self.order)), key=lambda i: self.order[i])
        return build.permute(build.reshape(flat, self.sizes), back)


def _indexed(value: Value, indices: Sequence[Value | None]) -> _Indexed:
    own = build.shape(value)
    axes = [i for i, index in enumerate(indices) if index is not None]
    rest = [i for i in range(len(own)) if i not in axes]
    adjacent = axes == list(range(axes[0], axes[-1] + 1))
    at = axes[0] if adjacent else 0
    order = [*rest[:at], *axes, *rest[at:]]
    sizes = [own[a] for a in order]
    count = math.prod(own[a] for a in axes)
    flat = build.reshape(
        build.permute(value, order), (*sizes[:at], count, *sizes[at + len(axes) :])
    )
    return _Indexed(flat, at, tuple(axes), tuple(order), tuple(sizes))


def _has_mask(indices: Sequence[Value | None]) -> bool:
    boolean = ir.IntegerType.get_signless(1)
    return any(i is not None and build.element_type(i) == boolean for i in indices)


@imports("index.Tensor", moves_only=True)
def index(ctx: Any, self: Value, indices: Sequence[Value | None]) -> Value:
    """Advanced indexing: the indexed axes are brought together, flattened, and looked up by one
    linear position.
    """
    if _has_mask(indices):
        raise Refusal(
            "indexing by a boolean mask gives a shape known only at run time", "use torch.where"
        )
    held = _indexed(self, indices)
    flat, at, sizes = held.flat, held.axis, held.indexed_sizes()
    static = _static_positions(ctx)
    if static is None:
        return build.gather(flat, _linear([indices[a] for a in held.axes], sizes), at)
    linear = _linear_static(static, sizes)
    run = _as_run(linear)
    if run is None:
        return build.gather(flat, ctx.constant(f"{ctx.node.name}.positions", linear), at)
    starts = [run[0] if i == at else 0 for i in range(len(build.shape(flat)))]
    taken = [linear.numel() if i == at else s for i, s in enumerate(build.shape(flat))]
    steps = [run[1] if i == at else 1 for i in range(len(starts))]
    return build.reshape(build.slice_(flat, starts, taken, steps), ctx.result.shape)


@imports("index_put.default")
def index_put(
    ctx: Any, self: Value, indices: Sequence[Value | None], values: Value, accumulate: bool
) -> Value:
    """The counterpart of ``index``: updates along the flattened axes; by a mask, a selection."""
    if _has_mask(indices):
        return _masked_put(self, indices, values, accumulate)
    held = _indexed(self, indices)
    at, own = held.axis, build.shape(held.flat)
    positions = _linear([indices[a] for a in held.axes], held.indexed_sizes())
    taken = build.shape(positions)
    values = build.expand(values, (*own[:at], *taken, *own[at + 1 :]))
    count = math.prod(taken)
    updates = build.reshape(values, (*own[:at], count, *own[at + 1 :]))
    kind = "sum" if accumulate else "set"
    return held.restored(
        build.scatter(held.flat, build.reshape(positions, (count,)), updates, at, kind)
    )


@imports("put.default")
def put(ctx: Any, self: Value, index: Value, source: Value, accumulate: bool) -> Value:
    """Elements written to positions of the flattened tensor."""
    own, count = build.shape(self), math.prod(build.shape(self))
    taken = math.prod(build.shape(index))
    positions = build.reshape(_wrapped(_positions(index), count), (taken,))
    kind, flat = "sum" if accumulate else "set", build.reshape(self, (count,))
    updated = build.scatter(flat, positions, build.reshape(source, (taken,)), 0, kind)
    return build.reshape(updated, own)


def _masked_put(
    value: Value, indices: Sequence[Value | None], values: Value, accumulate: bool
) -> Value:
    """``values`` where one mask is true, if the same value goes to all places it selects."""
    own = build.shape(value)
    first = next(i for i, index in enumerate(indices) if index is not None)
    others = [i for i, index in enumerate(indices) if index is not None and i != first]
    mask = indices[first]
    span = len(build.shape(mask))
    after = len(own) - first - span
    new = build.shape(values)
    if others or any(s != 1 for s in new[: max(len(new) - after, 0)]):
        raise Refusal(
            "writing different values through a boolean mask depends on how many are selected",
            "use torch.where or masked_fill",
        )
    mask = build.reshape(mask, (*build.shape(mask), *[1] * after))
    values = build.reshape(values, new[max(len(new) - after, 0) :])
    if accumulate:
        values = build.elementwise("add", value, values)
    return build.elementwise("where", mask, build.expand(values, own), value)


def _linear(indices: Sequence[Value], sizes: Sequence[int]) -> Value:
    integer = ir.IntegerType.get_signless(32)
    total = build.splat(0, integer)
    for value, size in zip(indices, sizes, strict=True):
        scaled = build.elementwise("mul", total, build.splat(size, integer))
        total = build.elementwise("add", scaled, _wrapped(build.cast(value, integer), size))
    return total


def _linear_static(indices: Sequence[torch.Tensor], sizes: Sequence[int]) -> torch.Tensor:
    total = torch.zeros((), dtype=torch.int64)
    for value, size in zip(indices, sizes, strict=True):
        total = total * size + torch.where(value < 0, value + size, value)
    return total


def _as_run(positions: torch.Tensor) -> tuple[int, int] | None:
    """(start, step) where the positions are an arithmetic sequence with a positive step: then no
    look-up is needed.
    """
    flat = positions.flatten()
    if flat.numel() == 0:
        return None
    step = int(flat[1] - flat[0]) if flat.numel() > 1 else 1
    if step < 1 or not bool((flat[1:] - flat[:-1] == step).all()):
        return None
    return int(flat[0]), step
