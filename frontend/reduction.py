"""Import of reductions: sum, mean, max, min, prod, any, all, variance."""

from collections.abc import Sequence
from typing import Any

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
    def reduction(ctx: Any, self: Value, dim: Any = None, keepdim: bool = False, dtype: Any = None) -> Value:
        return _reduce(build.cast(self, ctx.element()), kind, _dims(self, dim), keepdim)


_register("sum", "sum.default", "sum.dim_IntList")
_register("mean", "mean.default", "mean.dim")
_register("max", "amax.default", "max.default")
_register("min", "amin.default", "min.default")
_register("prod", "prod.default", "prod.dim_int")
_register("any", "any.default", "any.dim", "any.dims")
_register("all", "all.default", "all.dim", "all.dims")


def _variance(self: Value, dim: Any, correction: float | None, keepdim: bool) -> tuple[Value, Value]:
    dims = _dims(self, dim)
    count = 1
    for d in dims:
        count *= build.shape(self)[d]
    mean = _reduce(self, "mean", dims, True)
    centred = build.elementwise("sub", self, mean)
    total = _reduce(build.elementwise("mul", centred, centred), "sum", dims, keepdim)
    freedom = max(count - (1 if correction is None else correction), 0)
    divisor = build.splat(freedom, build.element_type(self))
    variance = build.elementwise("div", total, divisor)
    return variance, mean if keepdim else build.reshape(mean, build.shape(variance))


@imports("var.correction")
def var(ctx: Any, self: Value, dim: Any, correction: float | None, keepdim: bool) -> Value:
    """Variance in two passes."""
    return _variance(self, dim, correction, keepdim)[0]


@imports("var_mean.correction")
def var_mean(ctx: Any, self: Value, dim: Any, correction: float | None, keepdim: bool) -> tuple[Value, Value]:
    """Variance and mean."""
    return _variance(self, dim, correction, keepdim)
