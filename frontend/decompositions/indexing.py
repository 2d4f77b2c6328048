"""Tables of embeddings: bounded where they are read, and read in bags of several rows."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes

# What PyTorch's kernel adds to a norm before it divides by it.
_EPSILON = 1e-7


@decomposes("embedding_renorm.default")
def embedding_renorm(table: Tensor, indices: Tensor, max_norm: float, norm_type: float) -> Tensor:
    """``table`` with its rows ``indices`` scaled to ``max_norm`` where they are longer."""
    norms = torch.linalg.vector_norm(table, norm_type, dim=1, keepdim=True)
    rows = torch.arange(table.shape[0], device=table.device)
    read = (rows[:, None] == indices.flatten()).any(1, keepdim=True)
    return torch.where(read & (norms > max_norm), table * (max_norm / (norms + _EPSILON)), table)


# The kinds of bags, as the op numbers them.
_MEAN, _MAX = 1, 2


@decomposes("_embedding_bag_forward_only.default", "_embedding_bag.default")
def embedding_bag(
    table: Tensor,
    indices: Tensor,
    offsets: Tensor,
    scale_grad_by_freq: bool = False,
    mode: int = 0,
    sparse: bool = False,
    per_sample_weights: Tensor | None = None,
    include_last_offset: bool = False,
    padding_idx: int = -1,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Sum, mean or maximum over bags of rows, bag ``i`` from ``offsets[i]`` on; zeros for a bag of
    none. What a gradient would need besides is empty.
    """
    starts = offsets[:-1] if include_last_offset else offsets
    places = torch.arange(indices.shape[0], device=indices.device)
    last = offsets[1:] if include_last_offset else F.pad(offsets[1:], (0, 1), value=len(places))
    held = (places >= starts[:, None]) & (places < last[:, None])
    held = held & (indices != padding_idx) if padding_idx >= 0 else held
    rows = F.embedding(indices, table)
    if per_sample_weights is not None:
        rows = rows * per_sample_weights[:, None]
    counts = held.sum(1)
    if mode == _MAX:
        bags = torch.where(held[:, :, None], rows, -math.inf).amax(1)
        bags = torch.where(counts[:, None] > 0, bags, 0)
    else:
        bags = held.to(rows.dtype) @ rows
        bags = bags / counts.clamp(min=1)[:, None] if mode == _MEAN else bags
    none = indices.new_empty((0,))
    return bags, none, none, none
