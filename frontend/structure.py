"""Import of ops that only move elements: views as index maps, pad, concatenate, and look-ups by
index.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smartmem.dialects._mlir import ir
from smartmem.dialects.algebra import IndexMap
from smartmem.dialects.layout import build
from smartmem.frontend.registry import Refusal, imports

Value = Any


@imports(
    "view.default",
    "unsqueeze.default",
    "squeeze.dims",
    moves_only=True,
)
def reshape(ctx: Any, self: Value, **_: Any) -> Value:
    """The same elements in row-major order under another shape, which PyTorch has already worked
    out.
    """
    return build.reshape(self, ctx.result.shape)


@imports("permute.default", moves_only=True)
def permute(ctx: Any, self: Value, dims: Sequence[int]) -> Value:
    """Axes in another order."""
    return build.permute(self, [d % len(dims) for d in dims])


@imports("expand.default", moves_only=True)
def expand(ctx: Any, self: Value, size: Sequence[int], implicit: bool) -> Value:
    """Broadcast."""
    return build.expand(self, ctx.result.shape)


@imports("repeat.default", moves_only=True)
def repeat(ctx: Any, self: Value, repeats: Sequence[int]) -> Value:
    """Copies side by side along each axis."""
    own = build.shape(self)
    padded = build.reshape(self, (*[1] * (len(repeats) - len(own)), *own))
    return build.view(padded, IndexMap.tile(build.shape(padded), tuple(repeats)))


@imports("slice.Tensor", moves_only=True)
def slice_(ctx: Any, self: Value, dim: int, start: int | None, end: int | None, step: int) -> Value:
    """A strided range of one axis; PyTorch has already clipped it."""
    own = build.shape(self)
    dim %= len(own)
    first = range(own[dim])[slice(start, end, step)].start
    starts = [first if i == dim else 0 for i in range(len(own))]
    steps = [step if i == dim else 1 for i in range(len(own))]
    return build.slice_(self, starts, ctx.result.shape, steps)


@imports("select.int", moves_only=True)
def select(ctx: Any, self: Value, dim: int, index: int) -> Value:
    """One position of an axis, which disappears."""
    own = build.shape(self)
    dim %= len(own)
    starts = [index % own[dim] if i == dim else 0 for i in range(len(own))]
    sizes = [1 if i == dim else s for i, s in enumerate(own)]
    return build.reshape(build.slice_(self, starts, sizes, [1] * len(own)), ctx.result.shape)


@imports("split_with_sizes.default", moves_only=True)
def split(ctx: Any, self: Value, split_sizes: Sequence[int], dim: int) -> tuple[Value, ...]:
    """Consecutive ranges of an axis."""
    own = build.shape(self)
    dim %= len(own)
    parts: list[Value] = []
    first = 0
    for size in split_sizes:
        starts = [first if i == dim else 0 for i in range(len(own))]
        sizes = [size if i == dim else s for i, s in enumerate(own)]
        parts.append(build.slice_(self, starts, sizes, [1] * len(own)))
        first += size
    return tuple(parts)


@imports("flip.default", moves_only=True)
def flip(ctx: Any, self: Value, dims: Sequence[int]) -> Value:
    """Axes reversed."""
    rank = len(build.shape(self))
    return build.view(self, IndexMap.flip(build.shape(self), tuple(d % rank for d in dims)))


@imports("roll.default", moves_only=True)
def roll(ctx: Any, self: Value, shifts: Sequence[int], dims: Sequence[int]) -> Value:
    """Axes shifted around; without ``dims`` the flattened tensor."""
    own = build.shape(self)
    if not dims:
        flat = build.reshape(self, (ctx.result.numel(),))
        return build.reshape(roll(ctx, flat, shifts, [0]), own)
    amounts = [0] * len(own)
    for shift, dim in zip(shifts, dims, strict=True):
        amounts[dim] += shift
    return build.view(self, IndexMap.roll(own, tuple(amounts)))


@imports("pixel_shuffle.default", moves_only=True)
def pixel_shuffle(ctx: Any, self: Value, upscale_factor: int) -> Value:
    """[*, C r r, H, W] to [*, C, H r, W r]."""
    *lead, channels, height, width = build.shape(self)
    r, n = upscale_factor, len(lead)
    split = build.reshape(self, (*lead, channels // (r * r), r, r, height, width))
    mixed = build.permute(split, [*range(n), n, n + 3, n + 1, n + 4, n + 2])
    return build.reshape(mixed, ctx.result.shape)


@imports("pixel_unshuffle.default", moves_only=True)
def pixel_unshuffle(ctx: Any, self: Value, downscale_factor: int) -> Value:
    """[*, C, H r, W r] to [*, C r r, H, W]."""
    *lead, channels, height, width = build.shape(self)
    r, n = downscale_factor, len(lead)
    split = build.reshape(self, (*lead, channels, height // r, r, width // r, r))
    mixed = build.permute(split, [*range(n), n, n + 2, n + 4, n + 1, n + 3])
    return build.reshape(mixed, ctx.result.shape)


@imports("constant_pad_nd.default", moves_only=True)
def pad(ctx: Any, self: Value, pad: Sequence[int], value: float) -> Value:
    """A border of a constant; negative amounts crop."""
    own = build.shape(self)
    low, high = [0] * len(own), [0] * len(own)
    for i in range(len(pad) // 2):
        low[-1 - i], high[-1 - i] = pad[2 * i], pad[2 * i + 1]
    sizes = [s + min(a, 0) + min(b, 0) for s, a, b in zip(own, low, high, strict=True)]
    cropped = build.slice_(self, [max(-a, 0) for a in low], sizes, [1] * len(own))
    return build.pad(cropped, [max(a, 0) for a in low], [max(b, 0) for b in high], value)


@imports("cat.default", moves_only=True)
def cat(ctx: Any, tensors: Sequence[Value], dim: int) -> Value:
    """Tensors joined along an axis; those without elements are left out."""
    rank = len(ctx.result.shape)
    kept = [t for t in tensors if 0 not in build.shape(t)]
    return build.concat([build.cast(t, ctx.element()) for t in kept], dim % rank)


@imports("embedding.default", moves_only=True)
def embedding(ctx: Any, weight: Value, indices: Value, **_: Any) -> Value:
    """Rows of a table."""
    return build.gather(weight, indices, 0)


@imports("index_select.default", moves_only=True)
def index_select(ctx: Any, self: Value, dim: int, index: Value) -> Value:
    """Positions of an axis, by a list; unlike in indexing, none counts from the end."""
    return build.gather(self, index, dim % max(len(build.shape(self)), 1))


def _wrapped(index: Value, size: int) -> Value:
    """Negative positions count from the end."""
    integer = build.element_type(index)
    negative = build.elementwise("lt", index, build.splat(0, integer))
    from_end = build.elementwise("add", index, build.splat(size, integer))
    return build.elementwise("where", negative, from_end, index)


def _static_positions(ctx: Any, count: int) -> list[torch.Tensor] | None:
    """The index tensors where all of them are known at compile time."""
    given = [n for n in ctx.node.args[1] if n is not None]
    known = [ctx.known.get(n) for n in given]
    return [k for k in known if k is not None] if all(k is not None for k in known) else None


@imports("index.Tensor", moves_only=True)
def index(ctx: Any, self: Value, indices: Sequence[Value | None]) -> Value:
    """Advanced indexing: the indexed axes are brought together, flattened, and looked up by one
    linear position.
    """
    own = build.shape(self)
    axes = [i for i, index in enumerate(indices) if index is not None]
    if any(build.element_type(indices[a]) == ir.IntegerType.get_signless(1) for a in axes):
        raise Refusal(
            "indexing by a boolean mask gives a shape known only at run time", "use torch.where"
        )
    rest = [i for i in range(len(own)) if i not in axes]
    adjacent = axes == list(range(axes[0], axes[-1] + 1))
    at = axes[0] if adjacent else 0
    order = [*rest[:at], *axes, *rest[at:]]
    sizes = [own[a] for a in axes]
    count = int(np.prod(sizes))
    ordered = build.permute(self, order)
    flat = build.reshape(
        ordered, (*[own[i] for i in rest[:at]], count, *[own[i] for i in rest[at:]])
    )
    static = _static_positions(ctx, count)
    if static is None:
        return build.gather(flat, _linear([indices[a] for a in axes], sizes), at)
    linear = _linear_static(static, sizes)
    run = _as_run(linear)
    if run is None:
        return build.gather(flat, ctx.constant(f"{ctx.node.name}.positions", linear), at)
    starts = [run[0] if i == at else 0 for i in range(len(build.shape(flat)))]
    taken = [linear.numel() if i == at else s for i, s in enumerate(build.shape(flat))]
    steps = [run[1] if i == at else 1 for i in range(len(starts))]
    return build.reshape(build.slice_(flat, starts, taken, steps), ctx.result.shape)


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
