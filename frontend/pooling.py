"""Import of pooling: windows of one size, adaptive ones of unequal size, where a maximum is."""

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend.convolution import spread
from smartmem.frontend.registry import imports

Value = Any


def _ceil_extra(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Extra padding at the end with which floor mode gives what ceil mode does: PyTorch drops a
    last window that would start in the padding."""
    span = size + 2 * pad - dilation * (kernel - 1) - 1
    out = -(-span // stride) + 1
    if (out - 1) * stride >= size + pad:
        out -= 1
    return max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - (size + 2 * pad))


def _reached(
    size: int, kernel: int, stride: int, dilation: int, border: tuple[int, int]
) -> tuple[int, tuple[int, int]]:
    """Kernel and border of one dim; where there is one window only, without what it has outside the
    input: a global pooling may be written with a window far larger than any image.
    """
    low, high = border
    windows = (low + size + high - dilation * (kernel - 1) - 1) // stride + 1
    if windows > 1 or dilation > 1:
        return kernel, border
    covered = min(kernel - low, size)
    return covered, (0, 0)


def _spatial(ctx: Any) -> int:
    """Number of spatial dims, which the op's name tells: a kernel may be given as one number for
    all.
    """
    return int(re.findall(r"pool(\d)d", str(ctx.node.target))[0])


def _pool(
    x: Value,
    kind: str,
    spatial: int,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    *,
    count_ceil: bool = False,
) -> Value:
    # count_ceil: whether what ceil mode adds to the padding counts too; in PyTorch it does not.
    lead = len(build.shape(x)) - spatial
    kernel, padding, dilation = (spread(v, spatial) for v in (kernel, padding, dilation))
    strides = spread(stride or kernel, spatial)
    sizes = build.shape(x)[lead:]
    extra = [0] * spatial
    if ceil_mode:
        windows = zip(sizes, kernel, strides, dilation, padding, strict=True)
        extra = [_ceil_extra(*window) for window in windows]
    batched = x if lead == 2 else build.reshape(x, (1, *build.shape(x)))
    if any(extra) and kind == "avg" and count_include_pad and not count_ceil:
        # The padding counts, what ceil mode adds to it does not.
        border = (0, 0, *padding)
        batched, padding, count_include_pad = (
            build.pad(batched, border, border, 0.0),
            [0] * spatial,
            False,
        )
    borders = [(p, p + e) for p, e in zip(padding, extra, strict=True)]
    if kind == "max" or not count_include_pad:
        inside = build.shape(batched)[2:]
        windows = zip(inside, kernel, strides, dilation, borders, strict=True)
        kernel, borders = zip(*(_reached(*window) for window in windows), strict=True)
    result = build.pool(
        batched,
        kind,
        kernel=kernel,
        strides=strides,
        dilations=dilation,
        pad_low=[low for low, _ in borders],
        pad_high=[high for _, high in borders],
        count_include_pad=count_include_pad,
    )
    return result if lead == 2 else build.reshape(result, build.shape(result)[1:])


@imports("max_pool2d.default", "max_pool3d.default")
def max_pool(
    ctx: Any,
    self: Value,
    kernel_size: list[int],
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    ceil_mode: bool,
) -> Value:
    """Largest element of each window."""
    return _pool(
        self, "max", _spatial(ctx), kernel_size, stride, padding, dilation, ceil_mode, True
    )


def _asks_for_indices(ctx: Any) -> bool:
    return any(user.args[1] == 1 for user in ctx.node.users)


@imports("max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def max_pool_with_indices(ctx: Any, **arguments: Any) -> tuple[Value, Value | None]:
    """The same, and where in the input each maximum is, if that is asked for."""
    largest = max_pool(ctx, **arguments)
    if not _asks_for_indices(ctx):
        return largest, None
    spatial = _spatial(ctx)
    kernel, padding, dilation = (
        spread(arguments[n], spatial) for n in ("kernel_size", "padding", "dilation")
    )
    stride = spread(arguments["stride"] or kernel, spatial)
    positions = [
        np.arange(out)[:, None] * s + np.arange(k) * d - p
        for out, k, s, d, p in zip(
            build.shape(largest)[-spatial:], kernel, stride, dilation, padding, strict=True
        )
    ]
    return largest, _where_largest(ctx, arguments["self"], largest, positions)


@imports("avg_pool1d.default", "avg_pool2d.default", "avg_pool3d.default")
def avg_pool(
    ctx: Any,
    self: Value,
    kernel_size: list[int],
    stride: list[int],
    padding: list[int],
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None = None,
) -> Value:
    """Mean of each window, or its sum over ``divisor_override``."""
    spatial = _spatial(ctx)
    windows = (self, "avg", spatial, kernel_size, stride, padding, [1], ceil_mode)
    if divisor_override is None:
        return _pool(*windows, count_include_pad)
    count = math.prod(spread(kernel_size, spatial))
    mean = _pool(*windows, True, count_ceil=True)
    element = build.element_type(mean)
    return build.elementwise("mul", mean, build.splat(count / divisor_override, element))


# --------------------------------------------------------------------------------------- adaptive


def _ranges(size: int, count: int) -> Any:
    """First and past-the-last position of each of ``count`` windows over ``size``, [count, 2]."""
    windows = np.arange(count)
    return np.stack([windows * size // count, -((windows + 1) * -size // count)], 1)


def _positions(size: int, count: int) -> Any:
    """The positions of each window, [count, longest]; shorter windows repeat their last one."""
    first, last = _ranges(size, count).T
    return np.minimum(first[:, None] + np.arange((last - first).max()), last[:, None] - 1)


@imports(
    "adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default", "adaptive_avg_pool3d.default"
)
def adaptive_avg_pool(ctx: Any, self: Value, output_size: list[int]) -> Value:
    """A mean over all where the output is 1, a pooling where it divides the input; a dim with
    windows of unequal size is contracted with the matrix of its windows.
    """
    spatial = len(output_size)
    own = build.shape(self)
    lead, sizes = own[: len(own) - spatial], own[len(own) - spatial :]
    if all(o == 1 for o in output_size):
        mean = build.reduce(self, "mean", range(len(lead), len(own)))
        return build.reshape(mean, (*lead, *output_size))
    kernel = [1] * spatial
    for i, (size, count) in enumerate(zip(sizes, output_size, strict=True)):
        if size % count:
            self = _unequal_means(ctx, self, len(lead) + i, count)
        else:
            kernel[i] = size // count
    if max(kernel) == 1:
        return self
    return _pool(self, "avg", spatial, kernel, kernel, [0], [1], False, True)


def _unequal_means(ctx: Any, value: Value, dim: int, count: int) -> Value:
    """Sums by a matrix of zeros and ones, which 16-bit floats hold exactly, over their lengths."""
    own = build.shape(value)
    ranges = _ranges(own[dim], count)
    every = np.arange(own[dim])
    member = (every >= ranges[:, :1]) & (every < ranges[:, 1:])
    name = f"{ctx.node.name}.windows.{dim}"
    dtype = ctx.result.dtype
    matrix = ctx.constant(name, torch.tensor(member).to(dtype))
    rank = len(own)
    loops = [rank if i == dim else i for i in range(rank)]
    total = build.contract(value, matrix, [list(range(rank)), [rank, dim], loops])
    lengths = torch.tensor(ranges[:, 1] - ranges[:, 0]).to(dtype)
    divisor = ctx.constant(f"{name}.lengths", lengths.reshape(-1, *[1] * (rank - 1 - dim)))
    return build.elementwise("div", total, divisor)


@imports("adaptive_max_pool2d.default", "adaptive_max_pool3d.default")
def adaptive_max_pool(ctx: Any, self: Value, output_size: list[int]) -> tuple[Value, Value | None]:
    """A pooling; a dim with windows of unequal size is first written out window by window."""
    spatial = len(output_size)
    own = build.shape(self)
    lead = len(own) - spatial
    positions = [_positions(s, o) for s, o in zip(own[lead:], output_size, strict=True)]
    value = self
    for i, taken in enumerate(positions):
        if own[lead + i] % output_size[i]:
            name = f"{ctx.node.name}.windows.{lead + i}"
            value = build.gather(value, ctx.constant(name, torch.tensor(taken.ravel())), lead + i)
    kernel = [taken.shape[1] for taken in positions]
    largest = _pool(value, "max", spatial, kernel, kernel, [0], [1], False, True)
    if not _asks_for_indices(ctx):
        return largest, None
    return largest, _where_largest(ctx, self, largest, positions)


# ------------------------------------------------------------------------------- where a maximum is


def _where_largest(ctx: Any, value: Value, largest: Value, positions: Sequence[Any]) -> Value:
    """Row-major spatial position in ``value`` [*lead, *spatial] of the first element of each window
    that is as large as ``largest`` [*lead, *out], or NaN as it is.

    ``positions``: per spatial dim, those of each window, [out, longest]; outside the input are
    those in the border.
    """
    lead = len(build.shape(value)) - len(positions)
    sizes = build.shape(value)[lead:]
    spatial, integer = len(positions), ir.IntegerType.get_signless(32)
    # Each spatial dim becomes two, the window and the place in it: [*lead, out, k, out, k].
    windows, linear = value, build.splat(0, integer)
    nowhere = int(np.prod(sizes))
    for i, taken in enumerate(positions):
        inside = taken.clip(0, sizes[i] - 1)
        name = f"{ctx.node.name}.positions.{i}"
        index = ctx.constant(name, torch.tensor(inside))
        windows = build.gather(windows, index, lead + 2 * i)
        # A border counts as the end of everything.
        step = int(np.prod(sizes[i + 1 :]))
        place = torch.tensor(np.where(inside == taken, taken * step, nowhere))
        spread_ = place.reshape(*place.shape, *[1] * (2 * (spatial - 1 - i)))
        linear = build.elementwise("add", linear, ctx.constant(f"{name}.linear", spread_))
    out = build.shape(largest)
    again = build.reshape(largest, (*out[:lead], *(s for o in out[lead:] for s in (o, 1))))
    found = build.elementwise("eq", windows, again)
    if not isinstance(build.element_type(value), ir.IntegerType):
        found = build.elementwise("bit_or", found, build.elementwise("isnan", windows))
    places = build.elementwise("where", found, linear, build.splat(nowhere, integer))
    return build.reduce(places, "min", [lead + 1 + 2 * i for i in range(spatial)])
