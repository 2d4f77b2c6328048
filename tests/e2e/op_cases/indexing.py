"""Look-ups and updates by index."""

from typing import Any

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Family, bools, ints, rand
from torch import Tensor

FAMILIES: dict[str, Family] = {}

FAMILIES["look-ups"] = Family(
    {
        "x": rand(3, 4, 5, 6),
        "v": rand(11),
        "i": torch.tensor([2, 0, -1]),
        "j": torch.tensor([[3], [-4]]),
        "k": torch.tensor([1, -6, 5], dtype=torch.int32),
        "tokens": ints(2, 7, low=0, high=13),
        "n": torch.tensor(2),
        "g": ints(3, 3, 4, 5, low=0, high=4),
    },
    {
        "runtime": lambda t: t.x[t.i],
        "runtime dim": lambda t: t.x[:, :, t.i],
        "runtime last": lambda t: t.x[..., t.k],
        "runtime two": lambda t: t.x[t.i, t.i],
        "runtime two by broadcast": lambda t: t.x[:, t.j, t.i],
        "runtime not adjacent": lambda t: t.x[t.i, :, t.i],
        "runtime not adjacent, inner": lambda t: t.x[:, t.i, :, t.j],
        "runtime and select": lambda t: t.x[1, :, t.i],
        "runtime and slice": lambda t: t.x[1:, t.i, ::2],
        "runtime and None": lambda t: t.x[None, t.i],
        "runtime, constant": lambda t: t.x[t.i, [0, 1, 3]],
        "all axes": lambda t: t.x[t.i, t.i, t.i, t.i],
        "constant": lambda t: t.x[[2, 0, 0, -1]],
        "constant dim": lambda t: t.x[:, [3, 1]],
        "constant run": lambda t: t.x[:, :, [1, 2, 3]],
        "constant stride": lambda t: t.x[..., [0, 2, 4]],
        "constant mask": lambda t: t.x[:, :, torch.tensor([True, False, True, True, False])] + 1,
        "constant repeats": lambda t: t.x.repeat_interleave(torch.tensor([1, 0, 2, 1]), 1) + 1,
        "constant two": lambda t: t.x[[0, 2], [1, -1]],
        "constant not adjacent": lambda t: t.x[[0, 2], :, [1, -1]],
        "constant mesh": lambda t: t.x[:, torch.tensor([[0], [3]]), torch.tensor([[1, 2, 4]])],
        "constant mesh run": lambda t: t.x[:, torch.arange(4)[:, None], torch.arange(5)],
        "constant one": lambda t: t.x[:, [2]],
        "constant backwards": lambda t: t.v[[4, 3, 2]],
        "constant repeated": lambda t: t.v[[4, 4, 4]],
        "table by constants": lambda t: (
            t.bias[t.positions].permute(2, 0, 1) + t.v[:6].view(6, 1, 1)
        ),
        "table by inputs": lambda t: t.bias[t.tokens],
        "index_select": lambda t: t.x.index_select(-2, t.i.abs()),
        "index_select constant": lambda t: t.x.index_select(1, torch.tensor([3, 0])),
        "embedding": lambda t: F.embedding(t.tokens, t.table),
        "embedding of int32": lambda t: F.embedding(t.tokens.int(), t.table),
        "embedding padding": lambda t: F.embedding(t.tokens, t.table, padding_idx=0),
        "embedding rank 0": lambda t: F.embedding(t.n, t.table),
        "embedding of an input": lambda t: F.embedding(t.tokens, t.x.reshape(-1, 6)),
        "take by mask": lambda t: torch.where(t.tokens > 3, t.bias[t.tokens][..., 0], -1.0),
        "index int": lambda t: t.tokens[:, t.i],
        "index bool": lambda t: (t.x > 0)[t.i],
        "index_select rank 0": lambda t: t.n.index_select(0, t.n[None] * 0),
        "gather": lambda t: t.x.gather(1, t.g),
        "gather smaller": lambda t: t.x.gather(-1, t.g[:2, :, 1:]),
        "gather constant": lambda t: t.x.gather(2, t.constant[..., None]),
        "gather bool": lambda t: (t.x > 0).gather(0, t.g % 3),
        "gather rank 0": lambda t: t.n.gather(0, t.n * 0),
        "take": lambda t: t.x.take(t.i * 7),
        "take_along_dim": lambda t: t.x.take_along_dim(t.g[:, :1, :1], 3),
        "take_along_dim flat": lambda t: t.x.take_along_dim(t.tokens),
    },
    {
        "table": rand(13, 24),
        "bias": rand(13, 6),
        "positions": ints(4, 5, low=0, high=13),
        "constant": ints(2, 4, 3, low=0, high=5),
    },
    vulkan=True,
)


def _put(value: Tensor, at: Any, new: Tensor, accumulate: bool = False) -> Tensor:
    return torch.index_put(value, at, new, accumulate)


def _assigned(value: Tensor, at: Any, new: Tensor | float) -> Tensor:
    value = value.clone()
    value[at] = new
    return value


FAMILIES["updates"] = Family(
    {
        "x": rand(4, 5, 6),
        "v": rand(70),
        "n": rand(),
        "src": rand(4, 5, 6),
        "k": ints(4, 5, 6),
        "g": ints(3, 5, 6, low=0, high=4),
        "p": torch.stack([torch.randperm(6) for _ in range(20)]).reshape(4, 5, 6),
        "i": torch.tensor([2, 0, 2]),
        "j": torch.tensor([3, -5, -2]),
        "far": ints(300, low=0, high=70),
        "many": rand(300),
        "b": bools(4, 5, 6),
        "zero": torch.tensor(0),
    },
    {
        "scatter": lambda t: t.x.scatter(2, t.p, t.src),
        "scatter smaller": lambda t: t.x.scatter(-1, t.p[:2, 1:, :3], t.src),
        "scatter repeated": lambda t: t.x.scatter(0, t.g, t.src),
        "scatter value": lambda t: t.x.scatter(1, t.g, 2.5),
        "scatter ints": lambda t: t.k.scatter(2, t.p, t.k * 2),
        "scatter bools": lambda t: t.b.scatter(0, t.g, True),
        "scatter rank 0": lambda t: t.n.scatter(0, t.zero, 3.0),
        "scatter, add": lambda t: t.x.scatter(0, t.g, t.src, reduce="add"),
        "scatter, multiply": lambda t: t.x.scatter(0, t.g, 2.0, reduce="multiply"),
        "scatter_add": lambda t: t.x.scatter_add(0, t.g, t.src),
        "scatter_add smaller": lambda t: t.x.scatter_add(1, t.g[:, :3, :2], t.src),
        "scatter_add ints": lambda t: t.k.scatter_add(0, t.g, t.k),
        "scatter_add of many": lambda t: t.v.scatter_add(0, t.far, t.many),
        "scatter_add of inf": lambda t: t.v.scatter_add(0, t.far, t.many / (t.many > 0)),
        "scatter_add rank 0": lambda t: t.n.scatter_add(0, t.zero, t.n),
        **{
            f"scatter_reduce {reduce} {kept}": (
                lambda t, reduce=reduce, kept=kept: t.x.scatter_reduce(
                    0, t.g, t.src, reduce, include_self=kept
                )
            )
            for reduce in ("sum", "prod", "mean", "amax", "amin")
            for kept in (True, False)
        },
        "scatter_reduce ints below 0": lambda t: (t.far - 99).scatter_reduce(
            0, t.far[:40], t.far[:40] - 99, "amax", include_self=False
        ),
        "scatter_reduce ints": lambda t: t.k.scatter_reduce(
            0, t.g, t.k, "amin", include_self=False
        ),
        "scatter_reduce mean of ints": lambda t: t.k.scatter_reduce(0, t.g, t.k, "mean"),
        "index_add": lambda t: t.x.index_add(1, t.i, t.src[:, :3], alpha=0.5),
        "index_add rank 0": lambda t: t.n.index_add(0, t.zero, t.n),
        "index_copy": lambda t: t.x.index_copy(-1, t.i[:2], t.src[..., :2]),
        "index_fill": lambda t: t.x.index_fill(1, t.j, 4.0),
        "index_reduce": lambda t: t.x.index_reduce(0, t.i, t.src[:3], "mean", include_self=False),
        "index_put": lambda t: _put(t.x, (t.i[:2], t.j[:2]), t.src[0, :2]),
        "index_put, add": lambda t: _put(t.x, (t.i, t.j), t.src[0, :3], True),
        "index_put one value": lambda t: _put(t.x, (t.i,), t.n),
        "index_put of far axes": lambda t: _assigned(
            t.x, (t.i[:2], slice(None), t.i[:2]), t.src[:2, :, 0]
        ),
        "assign by constants": lambda t: _assigned(t.x, (slice(None), [3, 0]), t.src[:, :2]),
        "assign by a mask": lambda t: _assigned(t.x, t.b, 0.5),
        "index_put by constants": lambda t: _put(t.x, (torch.tensor([3, -4]),), t.src[:2]),
        "index_put by a mask": lambda t: _put(t.x, (t.b,), t.n),
        "index_put by a mask of rows": lambda t: _put(t.x, (t.b[..., 0],), t.src[0, 0], True),
        "put": lambda t: t.x.put(t.j, t.src[0, 0, :3]),
        "put, add": lambda t: t.x.put(t.i, t.src[0, 0, :3], accumulate=True),
        "masked_scatter": lambda t: t.x.masked_scatter(t.b, t.src),
        "masked_scatter rows": lambda t: t.x.masked_scatter(t.b[:, :1], t.src),
        "one_hot": lambda t: F.one_hot(t.g, 4),
    },
    vulkan=True,
)
