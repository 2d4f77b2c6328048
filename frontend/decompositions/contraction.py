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


def _lengths(rows: Tensor, p: float) -> Tensor:
    """Norms over the last dim; 0 where there are no elements, which PyTorch refuses for ``inf``."""
    return torch.linalg.vector_norm(rows, p, dim=-1) if rows.numel() else rows.sum(-1)


@decomposes("cdist.default", "_cdist_forward.default")
def cdist(left: Tensor, right: Tensor, p: float = 2.0, compute_mode: int | None = None) -> Tensor:
    """Distances of all rows of left [*, P, M] to all of right [*, R, M]."""
    return _lengths(left.unsqueeze(-2) - right.unsqueeze(-3), p)


@decomposes("_pdist_forward.default")
def pdist(x: Tensor, p: float = 2) -> Tensor:
    """Distances of every row of x [N, M] to those after it."""
    first, second = torch.triu_indices(x.shape[0], x.shape[0], 1)
    return _lengths(x[first] - x[second], p)
