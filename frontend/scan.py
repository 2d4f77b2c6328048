"""Import of running sums, products, extremes and log-sum-exps."""

from typing import Any

import torch

from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.frontend.registry import imports

Value = Any


def _scan(value: Value, kind: str, dim: int) -> Value:
    own = build.shape(value)
    if not own:
        return value
    return build.scan(value, kind, dim % len(own))


def _register(name: str, kind: str) -> None:
    @imports(f"{name}.default")
    def running(ctx: Any, self: Value, dim: int, dtype: Any = None) -> Value:
        return _scan(build.cast(self, ctx.element()), kind, dim)


_register("cumsum", "sum")
_register("cumprod", "prod")
_register("logcumsumexp", "logaddexp")


def _register_extreme(name: str, kind: str) -> None:
    @imports(f"{name}.default")
    def extreme(ctx: Any, self: Value, dim: int) -> tuple[Value, Value]:
        """The extremes, and the last place where each of them stood so far; NaN stays."""
        integer = ir.IntegerType.get_signless(32)
        own = build.shape(self)
        if not own:
            return self, build.splat(0, integer)
        values = _scan(self, kind, dim)
        equal = build.elementwise("eq", self, values)
        if not isinstance(build.element_type(self), ir.IntegerType):
            equal = build.elementwise("bit_or", equal, build.elementwise("isnan", self))
        dim %= len(own)
        places = ctx.constant(f"{ctx.node.name}.places", torch.arange(own[dim]))
        places = build.reshape(places, (own[dim], *[1] * (len(own) - 1 - dim)))
        reached = build.elementwise("where", equal, places, build.splat(0, integer))
        return values, _scan(reached, "max", dim)


_register_extreme("cummax", "max")
_register_extreme("cummin", "min")
