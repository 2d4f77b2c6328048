"""Layer, group, batch and instance norm, softmax."""

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Family, rand

FAMILIES: dict[str, Family] = {}

FAMILIES["normalization"] = Family(
    {"x": rand(2, 24, 5, 3) * 2 + 1, "t": rand(2, 7, 40), "w": rand(3, 144), "c": rand(2, 6)},
    {
        "layer_norm": lambda t: F.layer_norm(t.t, (40,), t.g40, t.b40),
        "layer_norm plain": lambda t: F.layer_norm(t.t, (40,)),
        "native_layer_norm": lambda t: torch.native_layer_norm(t.t, (40,), t.g40, t.b40, 1e-5)[0],
        "native_layer_norm, statistics": lambda t: torch.native_layer_norm(
            t.x, (5, 3), None, None, 1e-5
        ),
        "layer_norm no bias": lambda t: F.layer_norm(t.t, (40,), t.g40),
        "layer_norm no weight": lambda t: F.layer_norm(t.t, (40,), None, t.b40),
        "layer_norm eps": lambda t: F.layer_norm(t.t * 1e-3, (40,), t.g40, t.b40, eps=1e-2),
        "layer_norm two dims": lambda t: F.layer_norm(t.x, (5, 3), t.g53, t.b53),
        "layer_norm all dims": lambda t: F.layer_norm(t.w, (3, 144)),
        "layer_norm odd": lambda t: F.layer_norm(t.w, (144,)),
        "layer_norm channels last": lambda t: F.layer_norm(
            t.x.permute(0, 2, 3, 1), (24,), t.g24, t.b24
        ).permute(0, 3, 1, 2),
        "layer_norm of a sum": lambda t: F.layer_norm(t.t + t.t.flip(1), (40,), t.g40, t.b40),
        "layer_norm far from 0": lambda t: F.layer_norm(t.t + 50, (40,)),
        "group_norm": lambda t: F.group_norm(t.x, 4, t.g24, t.b24),
        "group_norm plain": lambda t: F.group_norm(t.x, 3),
        "group_norm one": lambda t: F.group_norm(t.x, 1, t.g24, t.b24, eps=1e-3),
        "group_norm per channel": lambda t: F.group_norm(t.x, 24, t.g24),
        "group_norm rank 2": lambda t: F.group_norm(t.c, 3, t.g24[:6], t.b24[:6]),
        "group_norm rank 3": lambda t: F.group_norm(t.t.mT, 5, t.g40, t.b40),
        "native_group_norm": lambda t: torch.native_group_norm(
            t.x, t.g24, t.b24, 2, 24, 15, 4, 1e-5
        ),
        "instance_norm": lambda t: F.instance_norm(t.x),
        "instance_norm affine": lambda t: F.instance_norm(t.x, weight=t.g24, bias=t.b24),
        "rms_norm": lambda t: F.rms_norm(t.t, (40,), t.g40),
        "rms_norm eps": lambda t: F.rms_norm(t.t, (40,), eps=1e-3),
        "rms by hand": lambda t: (
            t.t * torch.rsqrt(t.t.pow(2).mean(-1, keepdim=True) + 1e-6) * t.g40
        ),
        "batch_norm": lambda t: F.batch_norm(t.x, t.m24, t.v24, t.g24, t.b24),
        "batch_norm eps": lambda t: F.batch_norm(t.x, t.m24, t.v24, t.g24, t.b24, eps=0.1),
        "batch_norm plain": lambda t: F.batch_norm(t.x, t.m24, t.v24),
        "batch_norm rank 2": lambda t: F.batch_norm(
            t.c, t.m24[:6], t.v24[:6], t.g24[:6], t.b24[:6]
        ),
        "batch_norm rank 3": lambda t: F.batch_norm(t.t.mT, t.m40, t.v40, t.g40, t.b40),
        "batch_norm rank 5": lambda t: F.batch_norm(t.x[..., None], t.m24, t.v24, t.g24, t.b24),
        "batch_norm by inputs": lambda t: F.batch_norm(
            t.x, t.w[0, :24], t.w[1, :24].abs() + 1, t.w[2, :24], t.b24
        ),
        "conv, batch_norm, relu": lambda t: F.batch_norm(
            F.conv2d(t.x, t.kernel, padding=1), t.m24, t.v24, t.g24, t.b24
        ).relu(),
    },
    {
        **{f"g{n}": rand(n) for n in (24, 40)},
        **{f"b{n}": rand(n) for n in (24, 40)},
        **{f"m{n}": rand(n) for n in (24, 40)},
        **{f"v{n}": rand(n).abs() + 0.1 for n in (24, 40)},
        "g53": rand(5, 3),
        "b53": rand(5, 3),
        "kernel": rand(24, 24, 3, 3, scale=0.1),
    },
    vulkan=True,
)
