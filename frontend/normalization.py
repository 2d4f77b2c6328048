"""Import of softmax and of layer and group normalisation."""

from typing import Any

from smartmem.dialects.layout import build
from smartmem.frontend.registry import imports

Value = Any


def _softmax(ctx: Any, value: Value, dim: int, log: bool) -> Value:
    value = build.cast(value, ctx.element())
    rank = len(build.shape(value))
    if rank == 0:
        return build.reshape(_softmax(ctx, build.reshape(value, (1,)), 0, log), ())
    return build.softmax(value, dim % rank, log=log)


@imports("softmax.int", "_softmax.default", "_safe_softmax.default")
def softmax(ctx: Any, self: Value, dim: int, **_: Any) -> Value:
    """exp(x - max) / sum along ``dim``."""
    return _softmax(ctx, self, dim, log=False)


@imports("log_softmax.int", "_log_softmax.default")
def log_softmax(ctx: Any, self: Value, dim: int, **_: Any) -> Value:
    """Logarithm of softmax."""
    return _softmax(ctx, self, dim, log=True)


@imports("layer_norm.default")
def layer_norm(
    ctx: Any,
    input: Value,
    normalized_shape: list[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
    cudnn_enable: bool,
) -> Value:
    """Normalisation over the last dims."""
    return build.layer_norm(input, len(normalized_shape), eps, weight, bias)


@imports("native_layer_norm.default")
def native_layer_norm(
    ctx: Any, input: Value, normalized_shape: list[int], weight: Value | None, bias: Value | None, eps: float
) -> tuple[Value, None, None]:
    """The same; its statistics are not produced."""
    return build.layer_norm(input, len(normalized_shape), eps, weight, bias), None, None


@imports("group_norm.default")
def group_norm(
    ctx: Any,
    input: Value,
    num_groups: int,
    weight: Value | None,
    bias: Value | None,
    eps: float,
    cudnn_enabled: bool,
) -> Value:
    """Normalisation of each group of channels: a layer norm over [N, groups, everything else], then the affine part."""
    own = build.shape(input)
    batch, channels = own[0], own[1]
    size = 1
    for s in own[1:]:
        size *= s
    grouped = build.reshape(input, (batch, num_groups, size // num_groups))
    result = build.reshape(build.layer_norm(grouped, 1, eps, None, None), own)
    per_channel = (channels, *[1] * (len(own) - 2))
    if weight is not None:
        result = build.elementwise("mul", result, build.reshape(weight, per_channel))
    if bias is not None:
        result = build.elementwise("add", result, build.reshape(bias, per_channel))
    return result
