"""Pooling."""

import torch.nn.functional as F
from e2e.op_cases.common import Family, rand

FAMILIES: dict[str, Family] = {}

FAMILIES["pooling"] = Family(
    {"x": rand(2, 3, 9, 7), "c": rand(1, 24, 8, 6), "v": rand(2, 5, 11), "d": rand(1, 2, 5, 6, 4)},
    {
        "max": lambda t: F.max_pool2d(t.x, 2),
        "max 3, 2, 1": lambda t: F.max_pool2d(t.x, 3, 2, 1),
        "max ceil": lambda t: F.max_pool2d(t.x, 2, ceil_mode=True),
        "max ceil padded": lambda t: F.max_pool2d(t.x, 3, 3, 1, ceil_mode=True),
        "max dilated": lambda t: F.max_pool2d(t.x, 3, 1, 1, dilation=2),
        "max sides": lambda t: F.max_pool2d(t.x, (2, 3), (3, 1), (0, 1)),
        "max of 24": lambda t: F.max_pool2d(t.c, 3, 2, 1),
        "max one window": lambda t: F.max_pool2d(t.x[..., :2, :5], 3, 5, 1),
        "max below 0": lambda t: F.max_pool2d(-t.x.abs(), 3, 2, 1),
        "max of a conv": lambda t: F.max_pool2d(F.conv2d(t.x, t.w, padding=1).relu(), 3, 2, 1),
        "max unbatched": lambda t: F.max_pool2d(t.x[0], 2),
        "max list of one": lambda t: F.max_pool2d(t.x[0], [2]),
        "max 1d": lambda t: F.max_pool1d(t.v, 3, 2, 1),
        "max 3d": lambda t: F.max_pool3d(t.d, 2, padding=1),
        "max 3d of two results": lambda t: F.max_pool3d(t.d, 2, return_indices=True)[0],
        "max int": lambda t: F.max_pool2d(t.x.mul(5).long(), 2),
        "avg": lambda t: F.avg_pool2d(t.x, 2),
        "avg 3, 1, 1": lambda t: F.avg_pool2d(t.x, 3, 1, 1),
        "avg uncounted": lambda t: F.avg_pool2d(t.x, 3, 2, 1, count_include_pad=False),
        "avg ceil": lambda t: F.avg_pool2d(t.x, 2, ceil_mode=True),
        "avg ceil padded": lambda t: F.avg_pool2d(t.x, 3, 2, 1, ceil_mode=True),
        "avg one window": lambda t: F.avg_pool2d(t.x[..., :2, :4], 3, 2, (1, 0)),
        "avg far past the image": lambda t: F.avg_pool2d(t.x, 50, ceil_mode=True),
        "max past a corner": lambda t: F.max_pool2d(t.x, (50, 3), (50, 2), (1, 0), ceil_mode=True),
        "avg ceil uncounted": lambda t: F.avg_pool2d(
            t.x, (3, 2), 2, (1, 0), ceil_mode=True, count_include_pad=False
        ),
        "avg sides": lambda t: F.avg_pool2d(t.c, (2, 3), (1, 2), (1, 0)),
        "avg unbatched": lambda t: F.avg_pool2d(t.x[0], 3),
        "avg 1d": lambda t: F.avg_pool1d(t.v, 3, 2, 1),
        "avg 1d ceil": lambda t: F.avg_pool1d(t.v, 4, 4, ceil_mode=True),
        "avg 3d": lambda t: F.avg_pool3d(t.d, (2, 3, 1), padding=(1, 1, 0)),
        "adaptive 1": lambda t: F.adaptive_avg_pool2d(t.c, 1),
        "adaptive 1 flat": lambda t: F.adaptive_avg_pool2d(t.c, 1).flatten(1),
        "adaptive divides": lambda t: F.adaptive_avg_pool2d(t.c, (4, 3)),
        "adaptive one side": lambda t: F.adaptive_avg_pool2d(t.c, (1, None)),
        "adaptive same": lambda t: F.adaptive_avg_pool2d(t.c, (8, 6)) * 2,
        "adaptive unbatched": lambda t: F.adaptive_avg_pool2d(t.c[0], (2, 2)),
        "adaptive 1d": lambda t: F.adaptive_avg_pool1d(t.v[..., :10], 5),
        "adaptive 1d to 1": lambda t: F.adaptive_avg_pool1d(t.v, 1),
        "adaptive 3d": lambda t: F.adaptive_avg_pool3d(t.d, (5, 2, 2)),
    },
    {"w": rand(5, 3, 3, 3)},
    vulkan=True,
)

FAMILIES["pooling, uneven"] = Family(
    {
        "x": rand(2, 3, 9, 7),
        "v": rand(2, 5, 11),
        "d": rand(1, 2, 5, 6, 4),
        "ties": rand(1, 3, 9, 7).round(),
    },
    {
        "divisor": lambda t: F.avg_pool2d(t.x, 2, divisor_override=3),
        "divisor, padded, ceil": lambda t: F.avg_pool2d(
            t.x, 3, 2, 1, ceil_mode=True, divisor_override=5
        ),
        "divisor 3d": lambda t: F.avg_pool3d(t.d, 2, padding=1, divisor_override=3),
        "lp": lambda t: F.lp_pool2d(t.x, 2, 3, 2),
        "lp 1d": lambda t: F.lp_pool1d(t.v, 2, 3, ceil_mode=True),
        "adaptive avg": lambda t: F.adaptive_avg_pool2d(t.x, (4, 3)),
        "adaptive avg one side": lambda t: F.adaptive_avg_pool2d(t.x, (3, 3)),
        "adaptive avg larger": lambda t: F.adaptive_avg_pool2d(t.x, (11, 10)),
        "adaptive avg 1d": lambda t: F.adaptive_avg_pool1d(t.v, 4),
        "adaptive avg 3d": lambda t: F.adaptive_avg_pool3d(t.d, (3, 4, 3)),
        "adaptive avg of a conv": lambda t: F.adaptive_avg_pool2d(F.conv2d(t.x, t.w), (2, 3)),
        "adaptive max": lambda t: F.adaptive_max_pool2d(t.x, (4, 3)),
        "adaptive max divides": lambda t: F.adaptive_max_pool2d(t.x, (3, 7)),
        "adaptive max 1": lambda t: F.adaptive_max_pool2d(t.x, 1),
        "adaptive max 1d": lambda t: F.adaptive_max_pool1d(t.v, 4),
        "adaptive max 3d": lambda t: F.adaptive_max_pool3d(t.d, (3, 4, 3)),
        "adaptive max where": lambda t: F.adaptive_max_pool2d(t.x, (4, 3), return_indices=True),
        "adaptive max unbatched": lambda t: F.adaptive_max_pool2d(t.x[0], (4, 3)),
        "max where": lambda t: F.max_pool2d(t.x, 3, 2, 1, ceil_mode=True, return_indices=True),
        "max where, dilated": lambda t: F.max_pool2d(
            t.x, 2, 1, dilation=(2, 3), return_indices=True
        ),
        "max where, ties": lambda t: F.max_pool2d(t.ties, 3, 1, 1, return_indices=True),
        "max where, unbatched": lambda t: F.max_pool2d(t.x[0], 2, return_indices=True),
        "max where 1d": lambda t: F.max_pool1d(t.v, 3, 2, return_indices=True),
        "max where 3d": lambda t: F.max_pool3d(t.d, 2, return_indices=True),
    },
    {"w": rand(5, 3, 3, 3)},
    vulkan=True,
)
