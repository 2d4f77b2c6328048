"""Running sums, products, extremes and log-sum-exps."""

import torch
from e2e.op_cases.common import Family, bools, inf, ints, nan, rand

FAMILIES: dict[str, Family] = {}

_special = rand(4, 9)
_special[0, 3], _special[1, 5], _special[2, 0] = nan, inf, -inf

FAMILIES["scans"] = Family(
    {
        "x": rand(2, 7, 3),
        "long": rand(2, 150, 3),
        "longest": rand(1, 4200),
        "i": ints(3, 70),
        "b": bools(5, 6),
        "s": rand(),
        "special": _special,
    },
    {
        "cumsum": lambda t: t.x.cumsum(1),
        "cumsum first": lambda t: t.x.cumsum(0),
        "cumsum last": lambda t: t.x.cumsum(-1),
        "cumsum long": lambda t: t.long.cumsum(1),
        "cumsum longest": lambda t: t.longest.cumsum(-1),
        "cumsum of a transpose": lambda t: t.long.mT.cumsum(-1),
        "cumsum ints": lambda t: t.i.cumsum(-1),
        "cumsum bools": lambda t: t.b.cumsum(0),
        "cumsum dtype": lambda t: t.i.cumsum(1, dtype=torch.float32),
        "cumsum rank 0": lambda t: t.s.cumsum(0),
        "cumsum special": lambda t: t.special.cumsum(1),
        "cumprod": lambda t: t.x.cumprod(1),
        "cumprod long": lambda t: (t.long * 0.1 + 1).cumprod(1),
        "cumprod rank 0": lambda t: t.s.cumprod(-1),
        "cummax": lambda t: tuple(t.x.cummax(1)),
        "cummax long": lambda t: tuple(t.long.cummax(-2)),
        "cummax ties": lambda t: tuple(t.i.cummax(1)),
        "cummax below 0": lambda t: tuple((t.i[:, :40] - 99).cummax(1)),
        "cummax bools": lambda t: tuple(t.b.cummax(0)),
        "cummax special": lambda t: tuple(t.special.cummax(1)),
        "cummax rank 0": lambda t: tuple(t.s.cummax(0)),
        "cummin": lambda t: tuple(t.x.cummin(2)),
        "cummin special": lambda t: tuple(t.special.cummin(1)),
        "logcumsumexp": lambda t: t.x.logcumsumexp(1),
        "logcumsumexp long": lambda t: t.long.logcumsumexp(1),
        "logcumsumexp far from 0": lambda t: (t.long * 300).logcumsumexp(1),
        "logcumsumexp special": lambda t: t.special.logcumsumexp(1),
        "cumulative_trapezoid": lambda t: torch.cumulative_trapezoid(t.x, dim=1),
    },
    vulkan=True,
)
