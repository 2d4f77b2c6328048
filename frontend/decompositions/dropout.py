"""Dropout: what a call with probability zero leaves in the graph, and in training mode a mask that
PyTorch draws and a product.

PyTorch's own decomposition draws other numbers than its kernel does. These draw the kernel's: one
``bernoulli_`` over a tensor that lies in memory as the input does.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smartmem.frontend.decompositions.registry import TRAINING, decomposes


@decomposes("native_dropout.default")
def native_dropout(x: Tensor, p: float, train: bool | None) -> Any:
    """The input itself and a mask that keeps all, where nothing is dropped."""
    if train and p:
        return NotImplemented
    return x.clone(), torch.ones_like(x, dtype=torch.bool)


def _drawn(x: Tensor, probability: float) -> Tensor:
    """Ones with this probability, else zeros, for each element of ``x`` in the order of memory."""
    # Not those of x, which may be a view that repeats or leaves out elements.
    strides = torch.empty_like(x).stride()
    order = sorted(range(x.dim()), key=lambda dim: -strides[dim])
    places = torch.empty([x.shape[dim] for dim in order], dtype=x.dtype)
    drawn = torch.bernoulli(places, probability)
    return drawn.permute([order.index(dim) for dim in range(x.dim())])


@decomposes("native_dropout.default", table=TRAINING)
def dropped(x: Tensor, p: float, train: bool | None) -> tuple[Tensor, Tensor]:
    """``x`` with elements dropped and the others larger by as much, and where it was kept."""
    if not train or p == 0 or x.numel() == 0:
        return x.clone(), torch.ones_like(x, dtype=torch.bool)
    if p == 1:
        return torch.zeros_like(x), torch.zeros_like(x, dtype=torch.bool)
    kept = _drawn(x, 1 - p)
    return x * (kept / (1 - p)), kept.to(torch.bool)


@decomposes("scaled_dot_product_attention.default", table=TRAINING)
def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    *,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Any:
    """Softmax, dropout and two products, as PyTorch computes attention that drops weights."""
    if dropout_p == 0:
        return NotImplemented
    if enable_gqa:
        groups = query.shape[-3] // key.shape[-3], query.shape[-3] // value.shape[-3]
        key, value = (t.repeat_interleave(n, -3) for t, n in zip((key, value), groups, strict=True))
    scores = (query @ key.mT) * (1 / math.sqrt(query.shape[-1]) if scale is None else scale)
    if is_causal:
        attn_mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    if attn_mask is not None and attn_mask.dtype == torch.bool:
        scores = scores.masked_fill(~attn_mask, -math.inf)
    elif attn_mask is not None:
        scores = scores + attn_mask
    return dropped(F.softmax(scores, -1), dropout_p, True)[0] @ value
