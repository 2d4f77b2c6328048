"""Import of softmax and of layer and group normalisation."""

import math
from collections.abc import Sequence
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


@imports("softmax.int", "_softmax.default")
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
    ctx: Any,
    input: Value,
    normalized_shape: list[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> tuple[Value, None, None]:
    """The same; its statistics are not produced."""
    return build.layer_norm(input, len(normalized_shape), eps, weight, bias), None, None


def _affine(value: Value, weight: Value | None, bias: Value | None, shape: Sequence[int]) -> Value:
    if weight is not None:
        value = build.elementwise("mul", value, build.reshape(weight, shape))
    return value if bias is None else build.elementwise("add", value, build.reshape(bias, shape))


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
    """Normalisation of each group of channels: a layer norm over [N, groups, everything else], then
    the affine part.
    """
    own = build.shape(input)
    batch, channels = own[0], own[1]
    grouped = build.reshape(input, (batch, num_groups, math.prod(own[1:]) // num_groups))
    result = build.reshape(build.layer_norm(grouped, 1, eps, None, None), own)
    return _affine(result, weight, bias, (channels, *[1] * (len(own) - 2)))


@imports("_native_batch_norm_legit.no_stats")
def instance_norm(
    ctx: Any,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    """Normalisation of each channel by its own statistics, as instance norm asks for: a layer norm
    over the rest.
    """
    own = build.shape(input)
    order = [1, 0, *range(2, len(own))]
    channels_first = build.permute(input, order)
    rows = build.reshape(channels_first, (own[1], math.prod(own) // own[1]))
    normal = build.reshape(build.layer_norm(rows, 1, eps, None, None), build.shape(channels_first))
    per_channel = (own[1], *[1] * (len(own) - 2))
    return _affine(build.permute(normal, order), weight, bias, per_channel), None, None
