"""Import of softmax and of layer, group, instance and batch normalisation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch

from smartmem.dialects._mlir import ir
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


def _is_read(ctx: Any, position: int) -> bool:
    """Whether the graph uses this one of the node's results."""
    return any(user.args[1] == position for user in ctx.node.users)


def _statistics(rows: Value, dims: Sequence[int], eps: float) -> tuple[Value, Value]:
    """Mean and 1 / sqrt(variance + eps) over ``dims``, which are removed; in f32."""
    rows = build.cast(rows, ir.F32Type.get())
    mean = build.reduce(rows, "mean", dims)
    kept = [1 if a in dims else s for a, s in enumerate(build.shape(rows))]
    centred = build.elementwise("sub", rows, build.reshape(mean, kept))
    variance = build.reduce(build.elementwise("mul", centred, centred), "mean", dims)
    shifted = build.elementwise("add", variance, build.splat(eps, ir.F32Type.get()))
    return mean, build.elementwise("rsqrt", shifted)


@imports("native_layer_norm.default")
def native_layer_norm(
    ctx: Any,
    input: Value,
    normalized_shape: list[int],
    weight: Value | None,
    bias: Value | None,
    eps: float,
) -> tuple[Value, Value | None, Value | None]:
    """The same, and its statistics where they are used."""
    count, own = len(normalized_shape), build.shape(input)
    result = build.layer_norm(input, count, eps, weight, bias)
    if not (_is_read(ctx, 1) or _is_read(ctx, 2)):
        return result, None, None
    statistics = _statistics(input, range(len(own) - count, len(own)), eps)
    kept = (*own[: len(own) - count], *[1] * count)
    mean, spread = (build.cast(build.reshape(v, kept), ctx.element()) for v in statistics)
    return result, mean, spread


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
    return _group_norm(input, num_groups, weight, bias, eps)


def _grouped(value: Value, groups: int) -> Value:
    own = build.shape(value)
    return build.reshape(value, (own[0], groups, math.prod(own[1:]) // groups))


def _group_norm(
    value: Value, groups: int, weight: Value | None, bias: Value | None, eps: float
) -> Value:
    own = build.shape(value)
    normal = build.layer_norm(_grouped(value, groups), 1, eps, None, None)
    per_channel = (own[1], *[1] * (len(own) - 2))
    return _affine(build.reshape(normal, own), weight, bias, per_channel)


@imports("native_group_norm.default")
def native_group_norm(
    ctx: Any,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    N: int,
    C: int,
    HxW: int,
    group: int,
    eps: float,
) -> tuple[Value, Value | None, Value | None]:
    """The same, and its statistics where they are used."""
    result = _group_norm(input, group, weight, bias, eps)
    if not (_is_read(ctx, 1) or _is_read(ctx, 2)):
        return result, None, None
    mean, spread = _statistics(_grouped(input, group), [2], eps)
    return result, build.cast(mean, ctx.element()), build.cast(spread, ctx.element())


@imports("_native_batch_norm_legit.no_stats")
def instance_norm(
    ctx: Any,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    training: bool,
    momentum: float,
    eps: float,
) -> tuple[Value, Value | None, Value | None]:
    """Normalisation of each channel by its own statistics, as instance norm asks for: a layer norm
    over the rest; and the statistics where they are used.
    """
    own = build.shape(input)
    order = [1, 0, *range(2, len(own))]
    channels_first = build.permute(input, order)
    rows = build.reshape(channels_first, (own[1], math.prod(own) // own[1]))
    normal = build.reshape(build.layer_norm(rows, 1, eps, None, None), build.shape(channels_first))
    per_channel = (own[1], *[1] * (len(own) - 2))
    result = _affine(build.permute(normal, order), weight, bias, per_channel)
    if not (_is_read(ctx, 1) or _is_read(ctx, 2)):
        return result, None, None
    mean, spread = _statistics(rows, [1], eps)
    return result, build.cast(mean, ctx.element()), build.cast(spread, ctx.element())


def _per_channel(value: Value, rank: int) -> Value:
    return build.reshape(value, (build.shape(value)[0], *[1] * (rank - 2)))


def _known_affine(
    ctx: Any, given: Mapping[str, Value | None], eps: float
) -> tuple[torch.Tensor, torch.Tensor] | None:
    """Scale and shift of a batch norm, in f64, if all vectors ``given`` are known now."""
    held = {name: ctx.constant_of(name) for name in given}
    if any(held[name] is None and value is not None for name, value in given.items()):
        return None
    scale = torch.rsqrt(held["running_var"].double() + eps)
    if held["weight"] is not None:
        scale = scale * held["weight"].double()
    shift = -held["running_mean"].double() * scale
    if held["bias"] is not None:
        shift = shift + held["bias"].double()
    return scale, shift


@imports("_native_batch_norm_legit_no_training.default")
def batch_norm(
    ctx: Any,
    input: Value,
    weight: Value | None,
    bias: Value | None,
    running_mean: Value,
    running_var: Value,
    momentum: float,
    eps: float,
) -> tuple[Value, None, None]:
    """x * scale + shift with scale and shift computed from the four vectors: at compile time where
    they are the model's.
    """
    rank, name, dtype = len(build.shape(input)), ctx.node.name, ctx.result.dtype
    given = {"weight": weight, "bias": bias, "running_mean": running_mean}
    known = _known_affine(ctx, {**given, "running_var": running_var}, eps)
    if known is not None:
        scale, shift = (
            ctx.constant(f"{name}.{part}", value.to(dtype))
            for part, value in zip(("scale", "shift"), known, strict=True)
        )
    else:
        scale, shift = _affine_of(weight, bias, running_mean, running_var, eps)
        scale, shift = build.cast(scale, ctx.element()), build.cast(shift, ctx.element())
    scaled = build.elementwise("mul", input, _per_channel(scale, rank))
    return build.elementwise("add", scaled, _per_channel(shift, rank)), None, None


def _affine_of(
    weight: Value | None, bias: Value | None, mean: Value, variance: Value, eps: float
) -> tuple[Value, Value]:
    """Scale and shift of a batch norm, computed at run time; in f32."""
    element = ir.F32Type.get()
    shifted = build.elementwise("add", build.cast(variance, element), build.splat(eps, element))
    scale = build.elementwise("rsqrt", shifted)
    if weight is not None:
        scale = build.elementwise("mul", scale, build.cast(weight, element))
    shift = build.elementwise("neg", build.elementwise("mul", build.cast(mean, element), scale))
    if bias is not None:
        shift = build.elementwise("add", shift, build.cast(bias, element))
    return scale, shift
