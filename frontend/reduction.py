"""Import of reductions: sum, mean, max, min, prod, any, norm, variance."""

import math
from collections.abc import Sequence
from typing import Any

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend.registry import imports

Value = Any


def _dims(value: Value, dim: Any) -> list[int]:
    rank = len(build.shape(value))
    if dim is None or dim == []:
        return list(range(rank))
    return sorted(d % max(rank, 1) for d in ([dim] if isinstance(dim, int) else dim))


def _reduce(value: Value, kind: str, dims: Sequence[int], keepdim: bool) -> Value:
    own = build.shape(value)
    if not own:
        return value
    result = build.reduce(value, kind, dims)
    if not keepdim:
        return result
    return build.reshape(result, [1 if i in dims else s for i, s in enumerate(own)])


def _register(kind: str, *names: str) -> None:
    @imports(*names)
    def reduction(
        ctx: Any, self: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None
    ) -> Value:
        return _reduce(build.cast(self, ctx.element()), kind, _dims(self, dim), keepdim)


_register("sum", "sum.dim_IntList")
_register("mean", "mean.default", "mean.dim")
_register("max", "amax.default", "max.default")
_register("min", "amin.default", "min.default")
_register("prod", "prod.default", "prod.dim_int")
_register("any", "any.default", "any.dim", "any.dims")


def _norm(value: Value, ord: float, dims: Sequence[int], keepdim: bool) -> Value:
    """(sum |x|^ord)^(1/ord), its limits at infinity, and the count of what is not zero for 0; in
    f32.
    """
    element = ir.F32Type.get()
    size = build.elementwise("abs", build.cast(value, element))
    if ord in (math.inf, -math.inf):
        return _reduce(size, "max" if ord > 0 else "min", dims, keepdim)
    if ord == 0:
        nonzero = build.elementwise("ne", size, build.splat(0, element))
        return _reduce(build.cast(nonzero, element), "sum", dims, keepdim)
    if ord == 1:
        return _reduce(size, "sum", dims, keepdim)
    if ord == 2:
        total = _reduce(build.elementwise("mul", size, size), "sum", dims, keepdim)
        return build.elementwise("sqrt", total)
    powers = build.elementwise("pow", size, build.splat(ord, element))
    total = _reduce(powers, "sum", dims, keepdim)
    return build.elementwise("pow", total, build.splat(1 / ord, element))


@imports("linalg_vector_norm.default")
def vector_norm(ctx: Any, self: Value, ord: float, dim: Any, keepdim: bool, dtype: Any) -> Value:
    """Norm of rows, summed in f32."""
    return build.cast(_norm(self, ord, _dims(self, dim), keepdim), ctx.element())


@imports("dist.default")
def dist(ctx: Any, self: Value, other: Value, p: float) -> Value:
    """Norm of the difference of two tensors that broadcast."""
    element = ir.F32Type.get()
    apart = build.elementwise("sub", build.cast(self, element), build.cast(other, element))
    return build.cast(_norm(apart, p, _dims(apart, None), False), ctx.element())


def _variance(
    ctx: Any, self: Value, dim: Any, correction: float | None, keepdim: bool
) -> tuple[Value, Value]:
    """In f32 throughout: squares of 16-bit floats and their sums leave the range."""
    dims = _dims(self, dim)
    count = 1
    for d in dims:
        count *= build.shape(self)[d]
    self = build.cast(self, ir.F32Type.get())
    mean = _reduce(self, "mean", dims, True)
    centred = build.elementwise("sub", self, mean)
    total = _reduce(build.elementwise("mul", centred, centred), "sum", dims, keepdim)
    freedom = max(count - (1 if correction is None else correction), 0)
    divisor = build.splat(freedom, build.element_type(self))
    variance = build.elementwise("div", total, divisor)
    mean = build.reshape(mean, build.shape(variance))
    return build.cast(variance, ctx.element()), build.cast(mean, ctx.element())


@imports("var.correction")
def var(ctx: Any, self: Value, dim: Any, correction: float | None, keepdim: bool) -> Value:
    """Variance in two passes."""
    return _variance(ctx, self, dim, correction, keepdim)[0]


@imports("var_mean.correction")
def var_mean(
    ctx: Any, self: Value, dim: Any, correction: float | None, keepdim: bool
) -> tuple[Value, Value]:
    """Variance and mean."""
    return _variance(ctx, self, dim, correction, keepdim)
