"""16-bit floats: one family of everything per type."""

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Case, Family, ints, rand
from torch import Tensor

FAMILIES: dict[str, Family] = {}


def _half_cases() -> dict[str, Case]:
    return {
        "arithmetic": lambda t: (t.x * 1.5 - 0.25) / (t.x.abs() + 1),
        "gelu": lambda t: F.gelu(t.x),
        "gelu tanh": lambda t: F.gelu(t.x, approximate="tanh"),
        "silu": lambda t: F.silu(t.x),
        "mish": lambda t: F.mish(t.x),
        "softplus": lambda t: F.softplus(t.x),
        "hardswish": lambda t: F.hardswish(t.x),
        "elu": lambda t: F.elu(t.x),
        "exp": lambda t: t.x.exp(),
        "tanh": lambda t: t.x.tanh(),
        "sigmoid": lambda t: t.x.sigmoid(),
        "pow": lambda t: t.x.abs() ** 1.5,
        "sin": lambda t: t.big.sin(),
        "atan2": lambda t: torch.atan2(t.x, t.x.flip(-1)),
        "asinh": lambda t: t.big.asinh(),
        "exp2": lambda t: t.x.exp2(),
        "erfc": lambda t: t.x.erfc(),
        "lgamma": lambda t: (t.x.abs() + 0.5).lgamma(),
        "frexp": lambda t: tuple(torch.frexp(t.exact)),
        "fmax": lambda t: torch.fmax(t.x, t.x.flip(-1)),
        "rsqrt": lambda t: (t.x.abs() + 0.5).rsqrt(),
        "remainder": lambda t: t.exact % 3,
        "div floor": lambda t: t.exact // 3,
        "to float": lambda t: t.x.float(),
        "round trip": lambda t: t.x.float().exp().to(t.x.dtype),
        "to bool": lambda t: (t.x > 0.5).to(t.x.dtype),
        "clamp": lambda t: t.x.clamp(-0.5, 0.5),
        "where": lambda t: torch.where(t.x > 0, t.x, -1.0),
        "softmax": lambda t: t.x.softmax(-1),
        "log_softmax": lambda t: t.x.log_softmax(1),
        "softmax in float": lambda t: t.x.softmax(-1, dtype=torch.float32).to(t.x.dtype),
        "sum": lambda t: t.x.sum(1),
        "sum in float": lambda t: t.x.sum(1, dtype=torch.float32),
        "mean": lambda t: t.big.mean(-1),
        "amax": lambda t: t.x.amax(-1),
        "var": lambda t: t.big.var(-1),
        "std": lambda t: t.big.std(-1),
        "var_mean": lambda t: tuple(torch.var_mean(t.big, -1)),
        "norm": lambda t: torch.linalg.vector_norm(t.big, dim=-1),
        "layer_norm": lambda t: F.layer_norm(t.big, (300,)),
        "layer_norm affine": lambda t: F.layer_norm(t.tokens, (24,), t.g, t.b),
        "rms_norm": lambda t: F.rms_norm(t.tokens, (24,), t.g),
        "rms by hand": lambda t: (
            t.g
            * (
                t.tokens.float()
                * torch.rsqrt(t.tokens.float().pow(2).mean(-1, keepdim=True) + 1e-6)
            ).to(t.g.dtype)
        ),
        "group_norm": lambda t: F.group_norm(t.x, 4, t.g, t.b),
        "batch_norm": lambda t: F.batch_norm(t.x, t.m, t.v, t.g, t.b),
        "linear": lambda t: F.linear(t.tokens, t.w, t.b40),
        "matmul": lambda t: t.tokens @ t.tokens.mT,
        "matmul vector": lambda t: t.tokens @ t.g,
        "addmm": lambda t: torch.addmm(t.b40, t.tokens[0], t.w.mT, beta=0.5),
        "conv": lambda t: F.conv2d(t.x, t.k3, padding=1),
        "conv patch": lambda t: F.conv2d(t.x, t.k3, stride=3),
        "conv 1x1 bias": lambda t: F.conv2d(t.x, t.w[..., None, None], t.b40),
        "depthwise": lambda t: F.conv2d(t.x, t.d3, t.b, padding=1, groups=24),
        "grouped": lambda t: F.conv2d(t.x, t.k3[:8, :6], padding=1, groups=4),
        "max_pool": lambda t: F.max_pool2d(t.x, 3, 2, 1),
        "avg_pool": lambda t: F.avg_pool2d(t.x, 2),
        "avg_pool uncounted": lambda t: F.avg_pool2d(t.x, 3, 2, 1, count_include_pad=False),
        "adaptive": lambda t: F.adaptive_avg_pool2d(t.x, 1),
        "attention": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q),
        "attention causal": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q, is_causal=True),
        "attention masked": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q, t.q @ t.q.mT),
        "permute": lambda t: t.x.permute(0, 2, 3, 1),
        "pad": lambda t: F.pad(t.x, (1, 0, 2, 1), value=0.5),
        "cat": lambda t: torch.cat([t.x, t.x[:, :1]], 1),
        "cat with float": lambda t: torch.cat([t.g, t.g.float()]),
        "roll": lambda t: t.x.roll((1, 2), (2, 3)),
        "embedding": lambda t: F.embedding(t.i, t.w),
        "index": lambda t: t.x[:, t.i],
        "int": lambda t: t.exact.long(),
        "of int": lambda t: t.i.to(t.x.dtype) * 0.5,
    }


_HALF_ON_VULKAN = frozenset(
    [
        "gelu",
        "softplus",
        "exp",
        "sin",
        "lgamma",
        "remainder",
        "round trip",
        "softmax",
        "log_softmax",
        "sum",
        "mean",
        "var",
        "norm",
        "layer_norm affine",
        "rms by hand",
        "group_norm",
        "linear",
        "matmul",
        "conv",
        "conv patch",
        "depthwise",
        "grouped",
        "max_pool",
        "avg_pool uncounted",
        "attention causal",
        "attention masked",
        "pad",
        "roll",
        "embedding",
    ]
)


def _half_family(dtype: torch.dtype, vulkan: bool | frozenset[str]) -> Family:
    inputs = {
        "x": rand(2, 24, 6, 7),
        "big": rand(3, 300, scale=20),
        "tokens": rand(2, 7, 24),
        "q": rand(2, 3, 5, 8),
        "exact": ints(4, 5, low=-20, high=20).float(),
        "i": ints(3, low=0, high=24),
    }
    constants = {
        "g": rand(24),
        "b": rand(24),
        "m": rand(24),
        "v": rand(24).abs() + 0.1,
        "w": rand(40, 24),
        "b40": rand(40),
        "k3": rand(16, 24, 3, 3, scale=0.1),
        "d3": rand(24, 1, 3, 3),
    }

    def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}

    return Family(
        halved(inputs), _half_cases(), halved(constants), vulkan, tolerance=5e-3, half=dtype
    )


FAMILIES["float16"] = _half_family(torch.float16, _HALF_ON_VULKAN)
FAMILIES["bfloat16"] = _half_family(torch.bfloat16, False)
