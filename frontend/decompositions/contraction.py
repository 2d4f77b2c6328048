"""Bilinear forms and pairwise distances."""

import torch
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes


@decomposes("bilinear.default")
def bilinear(left: Tensor, right: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """left [*, I], right [*, J], weight [O, I, J] to [*, O]."""
    by_left = torch.matmul(left, weight.permute(1, 0, 2).flatten(1))
    product = (by_left.unflatten(-1, (weight.shape[0], -1)) * right.unsqueeze(-2)).sum(-1)
    return product if bias is None else product + bias


@decomposes("_cdist_forward.default")
def cdist(left: Tensor, right: Tensor, p: float, compute_mode: int | None) -> Tensor:
    """Distances of all rows of left [*, P, M] to all of right [*, R, M]."""
    return torch.linalg.vector_norm(left.unsqueeze(-2) - right.unsqueeze(-3), p, dim=-1)


@decomposes("_pdist_forward.default")
def pdist(x: Tensor, p: float = 2) -> Tensor:
    """Distances of every row of x [N, M] to those after it."""
    first, second = torch.triu_indices(x.shape[0], x.shape[0], 1)
    return torch.linalg.vector_norm(x[first] - x[second], p, dim=-1)
