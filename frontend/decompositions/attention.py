"""The fused layers that ``nn.MultiheadAttention`` and ``nn.TransformerEncoderLayer`` become when
they are called for inference.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes

# The one of PyTorch's kinds of masks that does not broadcast as it is: batch by keys.
_KEY_PADDING = 1


def _weights(query: Tensor, key: Tensor, mask: Tensor | None, mask_type: int | None) -> Tensor:
    """Softmax over the keys that ``mask`` leaves: it is true, or not zero, at those it hides."""
    scores = (query @ key.transpose(-2, -1)) * query.shape[-1] ** -0.5
    if mask is None:
        return scores.softmax(-1)
    hidden = mask.to(torch.bool)
    if mask_type == _KEY_PADDING:
        hidden = hidden[:, None, None, :]
    return scores.masked_fill(hidden, float("-inf")).softmax(-1)


def _heads(x: Tensor, count: int) -> Tensor:
    """``[batch, length, width]`` as ``[batch, count, length, width / count]``."""
    return x.unflatten(-1, (count, -1)).transpose(1, 2)


@decomposes("_native_multi_head_attention.default")
def native_multi_head_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    embed_dim: int,
    num_head: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    mask: Tensor | None = None,
    need_weights: bool = True,
    average_attn_weights: bool = True,
    mask_type: int | None = None,
) -> tuple[Tensor, Tensor | None]:
    """Projections of one packed weight, attention, projection; and the weights, if asked for."""
    rows = zip(qkv_weight.split(embed_dim), qkv_bias.split(embed_dim), strict=True)
    sources = zip((query, key, value), rows, strict=True)
    q, k, v = (_heads(F.linear(x, weight, bias), num_head) for x, (weight, bias) in sources)
    weights = _weights(q, k, mask, mask_type)
    mixed = (weights @ v).transpose(1, 2).flatten(2)
    shown = weights.mean(1) if average_attn_weights else weights
    return F.linear(mixed, proj_weight, proj_bias), shown if need_weights else None


@decomposes("_transformer_encoder_layer_fwd.default")
def transformer_encoder_layer(
    src: Tensor,
    embed_dim: int,
    num_heads: int,
    qkv_weight: Tensor,
    qkv_bias: Tensor,
    proj_weight: Tensor,
    proj_bias: Tensor,
    use_gelu: bool,
    norm_first: bool,
    eps: float,
    norm_weight_1: Tensor,
    norm_bias_1: Tensor,
    norm_weight_2: Tensor,
    norm_bias_2: Tensor,
    ffn_weight_1: Tensor,
    ffn_bias_1: Tensor,
    ffn_weight_2: Tensor,
    ffn_bias_2: Tensor,
    mask: Tensor | None = None,
    mask_type: int | None = None,
) -> Tensor:
    """Attention and two linear layers, each with its residual, the norms before or after."""

    def attended(x: Tensor) -> Tensor:
        return native_multi_head_attention(
            *(x, x, x, embed_dim, num_heads, qkv_weight, qkv_bias, proj_weight, proj_bias),
            *(mask, False, False, mask_type),
        )[0]

    def fed(x: Tensor) -> Tensor:
        activation = F.gelu if use_gelu else F.relu
        return F.linear(activation(F.linear(x, ffn_weight_1, ffn_bias_1)), ffn_weight_2, ffn_bias_2)

    norms = ((norm_weight_1, norm_bias_1), (norm_weight_2, norm_bias_2))
    x = src
    for block, (weight, bias) in zip((attended, fed), norms, strict=True):
        if norm_first:
            x = x + block(F.layer_norm(x, (embed_dim,), weight, bias, eps))
        else:
            x = F.layer_norm(x + block(x), (embed_dim,), weight, bias, eps)
    return x
