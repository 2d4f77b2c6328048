"""Matrix products."""

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Family, rand

FAMILIES: dict[str, Family] = {}

FAMILIES["contractions"] = Family(
    {
        "v": rand(5),
        "m": rand(3, 5),
        "n": rand(5, 7),
        "a": rand(2, 3, 5),
        "c": rand(2, 5, 7),
        "d": rand(4, 1, 3, 5),
        "e": rand(2, 5, 1),
        "w": rand(1, 144),
        "x": rand(2, 9, 24),
    },
    {
        "vector vector": lambda t: t.v @ t.v,
        "matrix vector": lambda t: t.m @ t.v,
        "vector matrix": lambda t: t.v @ t.n,
        "matrix matrix": lambda t: t.m @ t.n,
        "batch matrix": lambda t: t.a @ t.n,
        "matrix batch": lambda t: t.m @ t.c,
        "batch batch": lambda t: t.a @ t.c,
        "batch vector": lambda t: t.a @ t.v,
        "vector batch": lambda t: t.v @ t.c,
        "broadcast batch": lambda t: t.d @ t.c,
        "broadcast both": lambda t: t.d @ t.c[:, None].transpose(0, 1),
        "batch of 1": lambda t: t.a[:1] @ t.c,
        "column": lambda t: t.a @ t.e,
        "outer": lambda t: torch.outer(t.v, t.n[0]),
        "outer by matmul": lambda t: t.v[:, None] @ t.v[None],
        "transposed": lambda t: t.n.mT @ t.m.mT,
        "transposed batch": lambda t: t.a.mT @ t.a,
        "self": lambda t: t.a @ t.a.mT,
        "mm": lambda t: torch.mm(t.m, t.n),
        "bmm": lambda t: torch.bmm(t.a, t.c),
        "mv": lambda t: torch.mv(t.m, t.v),
        "dot": lambda t: torch.dot(t.v, t.n[:, 1]),
        "addmm": lambda t: torch.addmm(t.n[:3], t.m, t.n),
        "addmm scaled": lambda t: torch.addmm(t.n[0], t.m, t.n, beta=0.5, alpha=-2),
        "baddbmm": lambda t: torch.baddbmm(t.n[:3], t.a, t.c, beta=2, alpha=0.3),
        "linear": lambda t: F.linear(t.x, t.w1, t.b1),
        "linear no bias": lambda t: F.linear(t.x, t.w1),
        "linear rank 1": lambda t: F.linear(t.x[0, 0], t.w1, t.b1),
        "linear rank 2": lambda t: F.linear(t.x[0], t.w1, t.b1),
        "linear rank 4": lambda t: F.linear(t.x[None], t.w1, t.b1),
        "linear one row": lambda t: F.linear(t.w, t.w144, t.b1),
        "linear one column": lambda t: F.linear(t.x, t.w1[:1], t.b1[:1]),
        "linear by vector": lambda t: F.linear(t.x, t.w1[0]),
        "linear of inputs": lambda t: F.linear(t.a, t.n.mT),
        "linear of a transpose": lambda t: F.linear(t.x.mT, t.w9),
        "linear, gelu": lambda t: F.gelu(F.linear(t.x, t.w1, t.b1)),
        "same weight twice": lambda t: F.linear(F.linear(t.x, t.w24), t.w24),
        "einsum": lambda t: torch.einsum("bij,bjk->bki", t.a, t.c),
        "einsum outer": lambda t: torch.einsum("bi,bj->bij", t.m, t.m),
        "einsum heads": lambda t: torch.einsum(
            "bqhd,bkhd->bhqk", t.x.view(2, 9, 4, 6), t.x.view(2, 9, 4, 6)
        ),
        "einsum trace": lambda t: torch.einsum("ij,ij->", t.m, t.m),
        "tensordot": lambda t: torch.tensordot(t.a, t.c, dims=([2], [1])),
        "kron": lambda t: torch.kron(t.v, t.v[:2]),
    },
    {
        "w1": rand(40, 24),
        "b1": rand(40),
        "w144": rand(40, 144),
        "w9": rand(5, 9),
        "w24": rand(24, 24, scale=0.2),
    },
    vulkan=True,
)
