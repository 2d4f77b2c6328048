"""Import of ops that only move elements: views as index maps, pad, concatenate, and look-ups by
index.
"""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects.algebra import Const, Dim, Expr, IndexMap, simplify
from smartmem.dialects.layout import build
from smartmem.frontend.registry import Refusal, imports

Value = Any


@imports(
    "view.default",
    "view_copy.default",
    "unsqueeze.default",
    "squeeze.dims",
    moves_only=True,
)
def reshape(ctx: Any, self: Value, **_: Any) -> Value:
    """The same elements in row-major order under another shape, which PyTorch has already worked
    out.
    """
    return build.reshape(self, ctx.result.shape)


@imports("permute.default", "permute_copy.default", moves_only=True)
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
def split(ctx: Any, self: Value, split_sizes: Sequence[int], dim: int) -> tuple[Value | None, ...]:
    """Consecutive ranges of an axis; nobody reads those without elements."""
    own = build.shape(self)
    dim %= len(own)
    parts: list[Value | None] = []
    first = 0
    for size in split_sizes:
        starts = [first if i == dim else 0 for i in range(len(own))]
        sizes = [size if i == dim else s for i, s in enumerate(own)]
        parts.append(build.slice_(self, starts, sizes, [1] * len(own)) if size else None)
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


@imports("unfold.default", moves_only=True)
def unfold(ctx: Any, self: Value, dimension: int, size: int, step: int) -> Value:
    """Windows of ``size`` along an axis, as a new last axis."""
    own, result = build.shape(self), tuple(ctx.result.shape)
    if not own:
        return build.reshape(self, result)
    results: list[Expr] = [Dim(i) for i in range(len(own))]
    dimension %= len(own)
    results[dimension] = Dim(dimension) * step + Dim(len(own))
    return build.view(self, simplify(IndexMap(result, own, tuple(results))))


@imports("diagonal.default", moves_only=True)
def diagonal(ctx: Any, self: Value, offset: int, dim1: int, dim2: int) -> Value:
    """Where two axes run together, as a new last axis."""
    own, result = build.shape(self), tuple(ctx.result.shape)
    dim1, dim2 = dim1 % len(own), dim2 % len(own)
    rest = iter(range(len(own) - 2))
    last = Dim(len(own) - 2)
    moved = {dim1: last + max(-offset, 0), dim2: last + max(offset, 0)}
    results = tuple(moved[i] if i in moved else Dim(next(rest)) for i in range(len(own)))
    return build.view(self, simplify(IndexMap(result, own, results)))


@imports("as_strided.default", "as_strided_copy.default", moves_only=True)
def as_strided(
    ctx: Any, self: Value, size: Sequence[int], stride: Sequence[int], storage_offset: int | None
) -> Value:
    """Elements by their place in memory, which PyTorch's strides of ``self`` tell."""
    given = ctx.node.args[0].meta["val"]
    order = sorted(range(given.dim()), key=lambda i: (-given.stride(i), i))
    if given.storage_offset() or not given.permute(order).is_contiguous():
        raise Refusal(
            "as_strided reaches beyond a view into the tensor behind it",
            "apply it to that tensor, or to a contiguous copy of the view",
        )
    flat = build.reshape(build.permute(self, order), (given.numel(),))
    place: Expr = Const(storage_offset or 0)
    for i, step in enumerate(stride):
        place = place + Dim(i) * step
    return build.view(flat, simplify(IndexMap(tuple(size), (given.numel(),), (place,))))


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


@imports("native_channel_shuffle.default", moves_only=True)
def channel_shuffle(ctx: Any, self: Value, groups: int) -> Value:
    """[N, g c, *] to [N, c g, *]."""
    batch, channels, *spatial = build.shape(self)
    split = build.reshape(self, (batch, groups, channels // groups, *spatial))
    mixed = build.permute(split, [0, 2, 1, *range(3, 3 + len(spatial))])
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
