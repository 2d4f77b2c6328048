"""Scaled dot-product attention."""

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Family, bools, inf, rand
from torch import Tensor

FAMILIES: dict[str, Family] = {}


def _causal_by_hand(length: int, steps: int) -> Tensor:
    return torch.ones(length, steps, dtype=torch.bool).tril(diagonal=steps - length)


_row_masked = bools(5, 9, share=0.7)
_row_masked[2] = False
_column_masked = bools(2, 1, 1, 9, share=0.6)
_float_mask = rand(5, 9)
_float_mask[1] = -inf
_float_mask[3, 4:] = -inf

FAMILIES["attention"] = Family(
    {
        "q": rand(2, 3, 5, 8),
        "k": rand(2, 3, 9, 8),
        "v": rand(2, 3, 9, 6),
        "mask": _row_masked,
        "keys": _column_masked,
        "bias": _float_mask,
        "gq": rand(2, 6, 5, 8),
    },
    {
        "plain": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v),
        "scale": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, scale=0.3),
        "self": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q),
        "causal": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q, is_causal=True),
        "causal, more keys": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, is_causal=True
        ),
        "causal, more queries": lambda t: F.scaled_dot_product_attention(
            t.k, t.q, t.q, is_causal=True
        ),
        "bool mask": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.mask),
        "key mask": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.keys),
        "float mask": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.bias),
        "float mask per head": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, t.q.mean(-1, keepdim=True)
        ),
        "constant mask": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, _causal_by_hand(5, 9)
        ),
        "constant mask that hides nothing": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, torch.ones(5, 9, dtype=torch.bool)
        ),
        "constant mask of the future": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, torch.ones(5, 9, dtype=torch.bool).tril()
        ),
        "constant bias": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.table),
        "grouped queries": lambda t: F.scaled_dot_product_attention(
            t.gq, t.k, t.v, enable_gqa=True
        ),
        "grouped queries, causal": lambda t: F.scaled_dot_product_attention(
            t.gq, t.k, t.v, is_causal=True, enable_gqa=True
        ),
        "one query": lambda t: F.scaled_dot_product_attention(t.q[:, :, -1:], t.k, t.v),
        "one key": lambda t: F.scaled_dot_product_attention(t.q, t.k[:, :, :1], t.v[:, :, :1]),
        "rank 3": lambda t: F.scaled_dot_product_attention(t.q[0], t.k[0], t.v[0]),
        "rank 2": lambda t: F.scaled_dot_product_attention(t.q[0, 0], t.k[0, 0], t.v[0, 0]),
        "rank 5": lambda t: F.scaled_dot_product_attention(t.q[None], t.k[None], t.v[None]),
        "rank 5 masked": lambda t: F.scaled_dot_product_attention(
            t.q[None], t.k[None], t.v[None], t.mask
        ),
        "shared keys": lambda t: F.scaled_dot_product_attention(t.q, t.k[:1], t.v[:1]),
        "heads from channels": lambda t: (
            F.scaled_dot_product_attention(
                t.tokens.view(2, 7, 3, 8).transpose(1, 2),
                t.tokens.view(2, 7, 3, 8).transpose(1, 2),
                t.tokens.view(2, 7, 3, 8).transpose(1, 2),
            )
            .transpose(1, 2)
            .reshape(2, 7, 24)
            + t.q[0, 0, 0, 0]
        ),
        "by hand": lambda t: (t.q @ t.k.mT * 8**-0.5).masked_fill(~t.keys, -inf).softmax(-1) @ t.v,
    },
    {"table": rand(3, 5, 9), "tokens": rand(2, 7, 24)},
    vulkan=True,
)
