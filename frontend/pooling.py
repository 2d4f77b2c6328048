"""Import of pooling: max and average windows, and adaptive average pooling where it is a plain
pooling.
"""

import re
from collections.abc import Sequence
from typing import Any

from smartmem.dialects.layout import build
from smartmem.frontend.convolution import spread
from smartmem.frontend.registry import Refusal, imports

Value = Any


def _ceil_extra(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Extra padding at the end with which floor mode gives what ceil mode does: PyTorch drops a
    last window that would start in the padding."""
    span = size + 2 * pad - dilation * (kernel - 1) - 1
    out = -(-span // stride) + 1
    if (out - 1) * stride >= size + pad:
        out -= 1
    return max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - (size + 2 * pad))


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
) -> Value:
    lead = len(build.shape(x)) - spatial
    kernel, padding, dilation = (spread(v, spatial) for v in (kernel, padding, dilation))
    strides = spread(stride or kernel, spatial)
    sizes = build.shape(x)[lead:]
    extra = [0] * spatial
    if ceil_mode:
        windows = zip(sizes, kernel, strides, dilation, padding, strict=True)
        extra = [_ceil_extra(*window) for window in windows]
    batched = x if lead == 2 else build.reshape(x, (1, *build.shape(x)))
    if any(extra) and kind == "avg" and count_include_pad:
        # The padding counts, what ceil mode adds to it does not.
        border = (0, 0, *padding)
        batched, padding, count_include_pad = (
            build.pad(batched, border, border, 0.0),
            [0] * spatial,
            False,
        )
    result = build.pool(
        batched,
        kind,
        kernel=kernel,
        strides=strides,
        dilations=dilation,
        pad_low=padding,
        pad_high=[p + e for p, e in zip(padding, extra, strict=True)],
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


@imports("max_pool2d_with_indices.default", "max_pool3d_with_indices.default")
def max_pool_with_indices(ctx: Any, **arguments: Any) -> tuple[Value, None]:
    """The same; the indices are not produced."""
    return max_pool(ctx, **arguments), None


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
    if divisor_override is None:
        return _pool(
            self, "avg", spatial, kernel_size, stride, padding, [1], ceil_mode, count_include_pad
        )
    raise Refusal(
        "average pooling with divisor_override is not supported", "scale a plain mean instead"
    )


@imports(
    "adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default", "adaptive_avg_pool3d.default"
)
def adaptive_avg_pool(ctx: Any, self: Value, output_size: list[int]) -> Value:
    """A mean over all where the output is 1, a plain pooling where it divides the input."""
    spatial = len(output_size)
    own = build.shape(self)
    lead, sizes = own[: len(own) - spatial], own[len(own) - spatial :]
    if all(o == 1 for o in output_size):
        mean = build.reduce(self, "mean", range(len(lead), len(own)))
        return build.reshape(mean, (*lead, *output_size))
    if any(s % o for s, o in zip(sizes, output_size, strict=True)):
        raise Refusal(
            f"adaptive pooling of {list(sizes)} to {output_size}: windows of unequal size",
            "choose an input size that the output size divides",
        )
    kernel = [s // o for s, o in zip(sizes, output_size, strict=True)]
    return _pool(self, "avg", spatial, kernel, kernel, [0], [1], False, True)
