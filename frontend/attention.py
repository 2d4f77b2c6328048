"""Import of scaled dot-product attention, kept whole so that layouts and kernels can be chosen for
it as one op.
"""

from typing import Any

import torch

from smartmem.dialects.layout import build, shapes
from smartmem.frontend.registry import Refusal, imports

Value = Any


def _repeat_heads(value: Value, heads: int) -> Value:
    """Grouped-query attention: every key/value head serves ``heads / own`` query heads."""
    *batch, own, length, features = build.shape(value)
    if own == heads:
        return value
    one = build.reshape(value, (*batch, own, 1, length, features))
    spread = build.expand(one, (*batch, own, heads // own, length, features))
    return build.reshape(spread, (*batch, heads, length, features))


def _keeps(mask: torch.Tensor) -> torch.Tensor | None:
    """Where a constant mask lets a key through as it is, if it hides all others; else None."""
    if mask.dtype == torch.bool:
        return mask
    # Models hide by the lowest number, too: no score is left beside it.
    hidden = mask <= torch.finfo(mask.dtype).min / 2
    return mask == 0 if bool(((mask == 0) | hidden).all()) else None


def _is_plain(mask: torch.Tensor | None, rows: int, keys: int) -> tuple[bool, bool]:
    """Whether a constant mask hides nothing, and whether it hides the future alone."""
    keeps = None if mask is None else _keeps(mask)
    if keeps is None:
        return False, False
    past = torch.ones(rows, keys, dtype=torch.bool).tril()
    return bool(keeps.all()), bool((keeps == past).all())


@imports("scaled_dot_product_attention.default")
def attention(
    ctx: Any,
    query: Value,
    key: Value,
    value: Value,
    attn_mask: Value | None,
    dropout_p: float,
    is_causal: bool,
    scale: float | None,
    enable_gqa: bool,
) -> Value:
    """softmax(scale * q k^T + mask) v. Masks that say nothing, or what ``causal`` says, go."""
    if dropout_p:
        raise Refusal("attention with dropout", "call model.eval()")
    lengths = build.shape(query)[-2], build.shape(key)[-2]
    hides_nothing, hides_future = _is_plain(ctx.constant_of("attn_mask"), *lengths)
    if hides_nothing or hides_future:
        attn_mask, is_causal = None, is_causal or not hides_nothing
    if enable_gqa:
        heads = build.shape(query)[-3]
        key, value = _repeat_heads(key, heads), _repeat_heads(value, heads)
    batch = shapes.broadcast([build.shape(v)[:-2] for v in (query, key, value)])
    query, key, value = (
        build.expand(v, (*batch, *build.shape(v)[-2:])) for v in (query, key, value)
    )
    factor = build.shape(query)[-1] ** -0.5 if scale is None else scale
    return build.attention(query, key, value, attn_mask, scale=factor, causal=is_causal)
