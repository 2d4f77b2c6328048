"""What depends on the order of elements."""

import torch
from e2e.op_cases.common import Family, bools, inf, ints, nan, rand

FAMILIES: dict[str, Family] = {}

# Ties, both zeros, infinities and several NaN in a row.
_special = rand(5, 11)
_special[0, 3] = _special[0, 8] = nan
_special[1, 2], _special[1, 5], _special[1, 7] = inf, -inf, inf
_special[2, 1], _special[2, 6], _special[2, 9] = -0.0, 0.0, -0.0
_special[3] = nan
_special[4] = 1.5

FAMILIES["extremes"] = Family(
    {
        "x": rand(2, 5, 7),
        "row": rand(3, 300),
        "i": ints(3, 40),
        "b": bools(4, 9),
        "s": rand(),
        "special": _special,
    },
    {
        "argmax": lambda t: t.x.argmax(),
        "argmax dim": lambda t: t.x.argmax(1),
        "argmax last": lambda t: t.row.argmax(-1),
        "argmax keep": lambda t: t.x.argmax(0, keepdim=True),
        "argmax all keep": lambda t: t.x.argmax(keepdim=True),
        "argmax ties": lambda t: t.i.argmax(1),
        "argmax bool": lambda t: t.b.int().argmax(1),
        "argmax below 0": lambda t: (t.i[:, :40] - 99).argmax(1),
        "argmax special": lambda t: t.special.argmax(1),
        "argmax rank 0": lambda t: t.s.argmax(),
        "argmax of a result": lambda t: (t.row * 3 + 1).argmax(1),
        "argmin": lambda t: t.x.argmin(2),
        "argmin special": lambda t: t.special.argmin(1),
        "argmin ties": lambda t: t.i.argmin(0),
        "max": lambda t: tuple(t.x.max(1)),
        "max keep": lambda t: tuple(t.x.max(-1, keepdim=True)),
        "max special": lambda t: tuple(t.special.max(1)),
        "max bool": lambda t: tuple(t.b.max(1)),
        "max int": lambda t: tuple(t.i.max(1)),
        "max rank 0": lambda t: tuple(t.s.max(0)),
        "min": lambda t: tuple(t.row.min(0)),
        "min special": lambda t: tuple(t.special.min(1)),
    },
    vulkan=True,
)

FAMILIES["orders"] = Family(
    {
        "x": rand(2, 5, 7),
        "row": rand(2, 300),
        "i": ints(3, 40),
        "b": bools(4, 9),
        "s": rand(),
        "special": _special,
        "values": torch.cat([rand(2, 9), torch.tensor([[nan, inf, 0.0]] * 2)], 1),
        "edges": rand(2, 15).sort(-1).values,
        "steps": torch.tensor([-5, -1, 0, 0, 4]),
        "shuffled": torch.tensor([3.0, 1.0, 2.0]),
    },
    {
        "sort": lambda t: tuple(t.x.sort(-1)),
        "sort dim": lambda t: tuple(t.x.sort(0, descending=True)),
        "sort long": lambda t: tuple(t.row.sort()),
        "sort ties": lambda t: tuple(torch.sort(t.i, dim=1, stable=True)),
        "sort ties down": lambda t: tuple(torch.sort(t.i, dim=1, stable=True, descending=True)),
        "sort bools": lambda t: tuple(torch.sort(t.b, dim=1, stable=True)),
        "sort special": lambda t: tuple(torch.sort(t.special, dim=1, stable=True)),
        "sort special down": lambda t: tuple(
            torch.sort(t.special, dim=1, stable=True, descending=True)
        ),
        "sort rank 0": lambda t: tuple(t.s.sort()),
        "argsort": lambda t: t.x.argsort(1),
        "argsort stable": lambda t: torch.argsort(t.i, dim=0, stable=True, descending=True),
        "msort": lambda t: t.x.msort(),
        "topk": lambda t: tuple(t.row.topk(5)),
        "topk smallest": lambda t: tuple(t.x.topk(2, dim=1, largest=False)),
        "topk all": lambda t: tuple(t.x.topk(5, dim=1)),
        "topk special": lambda t: t.special.topk(4).values,
        "topk rank 0": lambda t: tuple(t.s.topk(1)),
        "kthvalue": lambda t: tuple(t.x.kthvalue(3, dim=1)),
        "kthvalue keep": lambda t: tuple(t.row.kthvalue(7, keepdim=True)),
        "median": lambda t: t.x.median(),
        "median dim": lambda t: tuple(t.x.median(1)),
        "median keep": lambda t: tuple(t.row.median(-1, keepdim=True)),
        "median int": lambda t: t.i.median(1).values,
        "median special": lambda t: t.special[:4].median(1).values,
        "nanmedian": lambda t: t.special.nanmedian(1).values,
        "nanmedian all": lambda t: t.special.nanmedian(),
        "mode": lambda t: tuple(t.i[:, :15].mode(1)),
        "mode of floats": lambda t: t.special[[0, 1, 2, 4]].mode(1).values,
        "quantile": lambda t: t.row.quantile(0.3, dim=1),
        "searchsorted": lambda t: torch.searchsorted(t.edges, t.values),
        "searchsorted right": lambda t: torch.searchsorted(t.edges, t.values, side="right"),
        "searchsorted ints": lambda t: torch.searchsorted(t.steps, t.i, right=True),
        "searchsorted int32": lambda t: torch.searchsorted(t.steps, t.i, out_int32=True),
        "searchsorted one": lambda t: torch.searchsorted(t.edges[0], 0.25),
        "searchsorted by sorter": lambda t: torch.searchsorted(
            t.shuffled, t.values, sorter=t.shuffled.argsort()
        ),
        "bucketize": lambda t: torch.bucketize(t.values, t.edges[0]),
        "bucketize right": lambda t: torch.bucketize(t.i, t.steps, right=True),
        "bucketize one": lambda t: torch.bucketize(0.5, t.edges[1]),
    },
    vulkan=True,
)
