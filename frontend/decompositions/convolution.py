"""Transposed convolution as a convolution.

Output position ``s q + r`` of stride ``s`` is made by every s-th element of the kernel, from ``r``
on. So one ordinary convolution with ``s`` times the output channels computes all phases ``r`` at
input resolution, and its channels are then laid between the pixels, as in pixel_shuffle. Nothing is
multiplied with the zeros that the textbook form puts between the inputs; where stride and kernel
are equal, it is a 1x1 convolution.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from smartmem.frontend.convolution import spread
from smartmem.frontend.decompositions.registry import decomposes
from smartmem.frontend.decompositions.structure import dilated, padded


@dataclass(frozen=True)
class _Axis:
    """One spatial dim: ``first`` and ``count`` are in steps of the stride, of the uncropped result
    (which begins ``padding`` before the result).
    """

    stride: int
    dilation: int
    padding: int
    size: int
    taps: int
    first: int
    count: int

    @property
    def low(self) -> int:
        """Border at the start of the input; negative where its first elements are not read."""
        return (self.taps - 1) * self.dilation - self.first

    def high(self, given: int) -> int:
        """Border at the end of ``given`` inputs."""
        return self.count - given - self.low + (self.taps - 1) * self.dilation


def _axis(
    given: int, kernel: int, stride: int, dilation: int, padding: int, output_padding: int
) -> _Axis:
    reach = dilation * (kernel - 1) + 1
    size = (given - 1) * stride - 2 * padding + reach + output_padding
    first = padding // stride
    return _Axis(
        stride=stride,
        # With a stride, a dilated kernel has its zeros written out: its phases differ.
        dilation=dilation if stride == 1 else 1,
        padding=padding,
        size=size,
        taps=kernel if stride == 1 else -(-reach // stride),
        first=first,
        count=-(-(padding + size) // stride) - first,
    )


@decomposes("convolution.default")
def convolution(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    transposed: bool,
    output_padding: Sequence[int],
    groups: int,
) -> Any:
    """Ordinary convolutions stay whole."""
    if not transposed:
        return NotImplemented
    spatial = weight.dim() - 2
    stride, padding, dilation, output_padding = (
        spread(v, spatial) for v in (stride, padding, dilation, output_padding)
    )
    axes = [
        _axis(*given)
        for given in zip(
            x.shape[2:], weight.shape[2:], stride, dilation, padding, output_padding, strict=True
        )
    ]
    kernel = _by_phase(weight, axes, dilation, groups)
    for i, axis in enumerate(axes):
        x = padded(x, 2 + i, axis.low, axis.high(x.shape[2 + i]))
    phases = torch.ops.aten.convolution(
        x, kernel, None, [1], [0], [a.dilation for a in axes], False, [0], groups
    )
    result = _interleaved(phases, axes, groups)
    return result if bias is None else result + bias[(..., *[None] * spatial)]


def _by_phase(
    weight: Tensor, axes: Sequence[_Axis], dilation: Sequence[int], groups: int
) -> Tensor:
    """[I, O/g, *kernel] as the kernel [g phases O/g, I/g, *taps] of the ordinary convolution."""
    for i, axis in enumerate(axes):
        if axis.stride > 1:
            weight = dilated(weight, 2 + i, dilation[i])
        weight = padded(weight, 2 + i, 0, axis.taps * axis.stride - weight.shape[2 + i])
    split = weight.unflatten(0, (groups, -1))
    for i, axis in reversed(list(enumerate(axes))):
        split = split.unflatten(3 + i, (axis.taps, axis.stride))
    taps = [3 + 2 * i for i in range(len(axes))]
    phases = [4 + 2 * i for i in range(len(axes))]
    ordered = split.flip(taps).permute(0, *phases, 2, 1, *taps)
    return ordered.flatten(0, len(axes) + 1)


def _interleaved(x: Tensor, axes: Sequence[_Axis], groups: int) -> Tensor:
    """[N, g phases O/g, *count] to [N, O, *size]."""
    strides = [axis.stride for axis in axes]
    if max(strides) > 1:
        split = x.unflatten(1, (groups, *strides, -1))
        channel = 2 + len(axes)
        pairs = [(channel + 1 + i, 2 + i) for i in range(len(axes))]
        order = [0, 1, channel, *(dim for pair in pairs for dim in pair)]
        x = split.permute(order).flatten(1, 2)
        for i in range(len(axes)):
            x = x.flatten(2 + i, 3 + i)
    for i, axis in enumerate(axes):
        x = x.narrow(2 + i, axis.padding - axis.first * axis.stride, axis.size)
    return x
