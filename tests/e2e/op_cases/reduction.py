"""Reductions."""

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Family, inf, rand

FAMILIES: dict[str, Family] = {}

FAMILIES["reductions"] = Family(
    {"x": rand(2, 3, 5, 7) + 0.5, "w": rand(5, 144), "v": rand(40), "s": rand()},
    {
        "sum": lambda t: t.x.sum(),
        "sum dim": lambda t: t.x.sum(-1),
        "sum first": lambda t: t.x.sum(0, keepdim=True),
        "sum dims": lambda t: t.x.sum((1, -1)),
        "sum dims keep": lambda t: t.x.sum((0, 2), keepdim=True),
        "sum rank 0": lambda t: t.s.sum(),
        "sum rank 0 dim": lambda t: t.s.sum(-1),
        "sum of no dims": lambda t: t.x.sum(()),
        "mean": lambda t: t.x.mean(),
        "mean dims": lambda t: t.x.mean((2, 3)),
        "mean keep": lambda t: t.x.mean(1, keepdim=True),
        "mean of a row": lambda t: t.w.mean(-1),
        "amax": lambda t: t.x.amax(1),
        "amax all": lambda t: t.x.amax(),
        "amin": lambda t: t.x.amin((-1, 0), keepdim=True),
        "max": lambda t: t.x.max(),
        "min": lambda t: t.x.min(),
        "aminmax": lambda t: tuple(torch.aminmax(t.w, dim=1)),
        "prod": lambda t: t.v[:9].prod(),
        "prod dim": lambda t: t.x.prod(2),
        "prod keep": lambda t: t.x.prod(-2, keepdim=True),
        "var": lambda t: t.x.var(),
        "var dim": lambda t: t.x.var(1),
        "var biased": lambda t: t.x.var((2, 3), correction=0, keepdim=True),
        "var correction": lambda t: t.x.var(-1, correction=2),
        "var far from 0": lambda t: (t.w + 100).var(1),
        "std": lambda t: t.x.std(-1, keepdim=True),
        "std unbiased": lambda t: t.x.std(unbiased=False),
        "var_mean": lambda t: tuple(torch.var_mean(t.x, (1, 3))),
        "var_mean keep": lambda t: tuple(torch.var_mean(t.w, 1, correction=0, keepdim=True)),
        "std_mean": lambda t: tuple(torch.std_mean(t.x, 2)),
        "norm": lambda t: torch.linalg.vector_norm(t.x, dim=1),
        "norm 1": lambda t: t.x.norm(p=1, dim=-1, keepdim=True),
        "norm inf": lambda t: torch.linalg.vector_norm(t.x, ord=inf, dim=(1, 2)),
        "norm 3": lambda t: torch.linalg.vector_norm(t.x, ord=3, dim=2),
        "normalize": lambda t: F.normalize(t.x, dim=1),
        "cosine": lambda t: F.cosine_similarity(t.x, t.x.flip(0), dim=1),
        "mse": lambda t: F.mse_loss(t.x, t.x * 0.5),
        "masked mean": lambda t: (t.x * (t.x > 0)).sum(1) / (t.x > 0).sum(1).clamp(min=1),
        "sum of a transpose": lambda t: t.x.permute(0, 3, 1, 2).sum((1, 2)),
        "sum of many": lambda t: (t.v[:, None] + t.w[:1]).sum(0),
        "any": lambda t: (t.x > 2).any(-1),
        "all": lambda t: (t.x > -2).all(0),
    },
    vulkan=True,
)
