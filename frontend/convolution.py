"""Import of convolutions of one to three spatial dims."""

from collections.abc import Sequence
from typing import Any

from smartmem.dialects.layout import build
from smartmem.frontend.registry import Refusal, imports

Value = Any


def spread(values: Sequence[int], count: int) -> list[int]:
    """PyTorch's short form: one number stands for all ``count`` spatial dims."""
    return list(values) * count if len(values) == 1 else list(values)


@imports("convolution.default")
def convolution(
    ctx: Any,
    input: Value,
    weight: Value,
    bias: Value | None,
    stride: list[int],
    padding: list[int],
    dilation: list[int],
    transposed: bool,
    output_padding: list[int],
    groups: int,
) -> Value:
    """Convolution, then the bias broadcast over the channels; a transposed one has become an
    ordinary one (``decompositions/convolution.py``).
    """
    spatial = len(build.shape(weight)) - 2
    if not 1 <= spatial <= 3:
        raise Refusal(f"convolution over {spatial} spatial dims is not supported")
    unbatched = len(build.shape(input)) == spatial + 1
    x = build.reshape(input, (1, *build.shape(input))) if unbatched else input
    pads = spread(padding, spatial)
    result = build.conv(
        x,
        weight,
        strides=spread(stride, spatial),
        dilations=spread(dilation, spatial),
        pad_low=pads,
        pad_high=pads,
        groups=groups,
    )
    if bias is not None:
        channels = build.reshape(bias, (build.shape(bias)[0], *[1] * spatial))
        result = build.elementwise("add", result, channels)
    return build.reshape(result, build.shape(result)[1:]) if unbatched else result
