"""Import of pooling: max and average windows, and adaptive average pooling where it is a plain pooling."""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects.layout import build
from smartmem.frontend.convolution import spread
from smartmem.frontend.registry import Refusal, imports

Value = Any


def _ceil_extra(size: int, kernel: int, stride: int, dilation: int, pad: int) -> int:
    """Extra padding at the end with which floor mode gives what ceil mode does: PyTorch drops a last window that
    would start in the padding."""
    span = size + 2 * pad - dilation * (kernel - 1) - 1
    out = -(-span // stride) + 1
    if (out - 1) * stride >= size + pad:
        out -= 1
    return max(0, (out - 1) * stride + dilation * (kernel - 1) + 1 - (size + 2 * pad))


def _pool(
    x: Value,
    kind: str,
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
) -> Value:
    spatial = len(build.shape(x)) - (2 if len(build.shape(x)) > len(kernel) + 1 else 1)
    lead = len(build.shape(x)) - spatial
    kernel, padding, dilation = (spread(v, spatial) for v in (kernel, padding, dilation))
    strides = spread(stride or kernel, spatial)
    sizes = build.shape(x)[lead:]
    extra = [0] * spatial
    if ceil_mode:
        windows = zip(sizes, kernel, strides, dilation, padding, strict=True)
        extra = [_ceil_extra(*window) for window in windows]
    if any(extra) and kind == "avg" and count_include_pad:
        raise Refusal("average pooling in ceil mode that counts padding", "set count_include_pad=False")
    batched = x if lead == 2 else build.reshape(x, (1, *build.shape(x)))
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
    return _pool(self, "max", kernel_size, stride, padding, dilation, ceil_mode, True)


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
    """Mean of each window."""
    if divisor_override is not None:
        raise Refusal("average pooling with divisor_override is not supported")
    return _pool(self, "avg", kernel_size, stride, padding, [1], ceil_mode, count_include_pad)


@imports("adaptive_avg_pool1d.default", "adaptive_avg_pool2d.default", "adaptive_avg_pool3d.default")
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
    return _pool(self, "avg", kernel, kernel, [0], [1], False, True)
