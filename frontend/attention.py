"""Import of scaled dot-product attention, kept whole so that layouts and kernels can be chosen for
it as one op.
"""

from typing import Any

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
    """softmax(scale * q k^T + mask) v."""
    if dropout_p:
        raise Refusal("attention with dropout", "call model.eval()")
    if enable_gqa:
        heads = build.shape(query)[-3]
        key, value = _repeat_heads(key, heads), _repeat_heads(value, heads)
    batch = shapes.broadcast([build.shape(v)[:-2] for v in (query, key, value)])
    query, key, value = (
        build.expand(v, (*batch, *build.shape(v)[-2:])) for v in (query, key, value)
    )
    factor = build.shape(query)[-1] ** -0.5 if scale is None else scale
    return build.attention(query, key, value, attn_mask, scale=factor, causal=is_causal)
