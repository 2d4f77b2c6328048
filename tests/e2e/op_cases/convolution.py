"""Convolutions, grouped and depthwise ones included."""

from typing import Any

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Case, Family, rand
from torch import Tensor

FAMILIES: dict[str, Family] = {}


def _residual(x: Tensor) -> Tensor:
    """A value that a kernel makes and that two others read."""
    return x * x.sigmoid() + F.max_pool2d(x, 3, 1, 1)


def _conv_cases() -> dict[str, Case]:
    return {
        "1x1": lambda t: F.conv2d(t.x3, t.w5_3_1),
        "1x1 bias": lambda t: F.conv2d(t.x24, t.w40_24_1, t.b40),
        "1x1 stride": lambda t: F.conv2d(t.x24, t.w40_24_1, t.b40, stride=2),
        "1x1 padded": lambda t: F.conv2d(t.x3, t.w5_3_1, padding=1),
        "3x3": lambda t: F.conv2d(t.x3, t.w5_3_3, padding=1),
        "3x3 valid": lambda t: F.conv2d(t.x3, t.w5_3_3),
        "3x3 stride": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=2, padding=1),
        "3x3 strides": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=(1, 3), padding=(2, 0)),
        "3x3 dilated": lambda t: F.conv2d(t.x3, t.w5_3_3, padding=2, dilation=2),
        "3x3 one channel": lambda t: F.conv2d(t.x3[:, :1], t.w5_3_3[:, :1], padding=1),
        "3x3 one filter": lambda t: F.conv2d(t.x3, t.w5_3_3[:1], padding=1),
        "3x3 same": lambda t: F.conv2d(t.x3, t.w5_3_3, padding="same"),
        "2x2 same": lambda t: F.conv2d(t.x3, t.w5_3_3[:, :, :2, :2], padding="same"),
        "3x3 padded apart": lambda t: F.conv2d(F.pad(t.x3, (0, 1, 2, 0)), t.w5_3_3, stride=2),
        "3x3 of 40": lambda t: F.conv2d(t.x40, t.w24_40_3, padding=1),
        "2x3": lambda t: F.conv2d(t.x3, t.w5_3_3[:, :, :2], padding=(1, 0)),
        "7x7 stride": lambda t: F.conv2d(t.x3, t.w5_3_7, stride=2, padding=3),
        "patch": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=3),
        "patch 2": lambda t: F.conv2d(t.x24, t.w40_24_2, t.b40, stride=2),
        "whole": lambda t: F.conv2d(t.x3[..., :7, :7], t.w5_3_7),
        "one window": lambda t: F.conv2d(t.x3[..., :2, :2], t.w5_3_3, stride=2, padding=1),
        "one window, rest": lambda t: F.conv2d(t.x3[..., :4, :3], t.w5_3_3, stride=3),
        "unbatched": lambda t: F.conv2d(t.x3[0], t.w5_3_3, padding=1),
        "relu between": lambda t: F.conv2d(
            F.conv2d(t.x24, t.w40_24_1, t.b40).relu(), t.w24_40_3, padding=1
        ),
        "residual": lambda t: t.x24 + F.conv2d(t.x24, t.w24_24_3, padding=1),
        "3x3 of 3 to 24": lambda t: F.conv2d(t.x3, t.w24_40_3[:, :3], stride=2, padding=1),
        "3x3 of 2 to 24": lambda t: F.conv2d(t.x3[:, 1:], t.w24_40_3[:, :2], padding=1),
        "gated": lambda t: F.silu(F.conv2d(t.x24, t.w24_24_3, padding=1) + t.x24),
        "read twice": lambda t: _residual(F.conv2d(t.x24, t.w24_24_3, padding=1)),
        "pools of a convolution": lambda t: [
            pool(F.conv2d(t.x24, t.w24_24_3, padding=1), 3, 2, 1)
            for pool in (F.max_pool2d, F.avg_pool2d)
        ],
        "joined squares": lambda t: torch.cat(
            [F.conv2d(t.x24, t.w24_24_3, padding=1).square(), t.x24], 1
        ),
        "of a permute": lambda t: F.conv2d(t.x24.permute(0, 3, 2, 1)[:, :3], t.w5_3_3, padding=1),
        "tokens": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=3).flatten(2).mT,
        "runtime kernel": lambda t: F.conv2d(t.x3, t.k, padding=1),
        "conv1d": lambda t: F.conv1d(t.x24[..., 0], t.w40_24_2[..., 0], t.b40),
        "conv1d padded": lambda t: F.conv1d(
            t.x3[..., 0], t.w5_3_3[..., 0], stride=2, padding=2, dilation=2
        ),
        "conv1d patch": lambda t: F.conv1d(t.x3[..., 0], t.w5_3_3[..., 0], stride=3),
        "conv1d pointwise": lambda t: F.conv1d(t.x24[..., 0], t.w40_24_2[..., 0, :1]),
        "conv3d": lambda t: F.conv3d(t.x5d, t.w5_3_333, padding=1),
        "conv3d strides": lambda t: F.conv3d(
            t.x5d, t.w5_3_333, stride=(1, 2, 3), padding=(1, 0, 2)
        ),
        "conv3d patch": lambda t: F.conv3d(t.x5d, t.w5_3_333[:, :, :2, :2, :2], stride=2),
    }


FAMILIES["convolutions"] = Family(
    {
        "x3": rand(2, 3, 11, 8),
        "x24": rand(1, 24, 7, 6),
        "x40": rand(1, 40, 5, 6),
        "x5d": rand(1, 3, 4, 5, 7),
        "k": rand(4, 3, 3, 3),
    },
    _conv_cases(),
    {
        "w5_3_1": rand(5, 3, 1, 1),
        "w5_3_3": rand(5, 3, 3, 3),
        "w5_3_7": rand(5, 3, 7, 7),
        "w40_24_1": rand(40, 24, 1, 1),
        "w40_24_2": rand(40, 24, 2, 2),
        "w24_24_3": rand(24, 24, 3, 3),
        "w24_40_3": rand(24, 40, 3, 3),
        "w5_3_333": rand(5, 3, 3, 3, 3),
        "b40": rand(40),
    },
    vulkan=True,
)


def _depthwise(channels: int, **options: Any) -> Case:
    def case(t: Any) -> Tensor:
        x, kernel = getattr(t, f"x{channels}"), getattr(t, f"w{channels}")
        return F.conv2d(x, kernel, groups=channels, **options)

    return case


FAMILIES["grouped convolutions"] = Family(
    {f"x{c}": rand(2 if c in (3, 24) else 1, c, 7, 10) for c in (1, 3, 5, 16, 24, 40, 96, 144)},
    {
        **{f"depthwise {c}": _depthwise(c, padding=1) for c in (1, 3, 5, 16, 24, 40, 96, 144)},
        **{f"depthwise {c} stride": _depthwise(c, padding=1, stride=2) for c in (3, 24, 144)},
        "depthwise valid": _depthwise(24),
        "depthwise dilated": _depthwise(24, padding=2, dilation=2),
        "depthwise strides": _depthwise(40, padding=(0, 2), stride=(3, 1)),
        "depthwise patch": _depthwise(24, stride=3),
        "depthwise padded apart": lambda t: F.conv2d(
            F.pad(t.x24, (0, 1, 0, 1)), t.w24, stride=2, groups=24
        ),
        "depthwise bias, relu6": lambda t: F.relu6(
            F.conv2d(t.x40, t.w40, t.b40, padding=1, groups=40)
        ),
        "depthwise 7x7": lambda t: F.conv2d(t.x24, t.w24_7, padding=3, groups=24),
        "pointwise, depthwise, pointwise": lambda t: F.conv2d(
            F.conv2d(F.conv2d(t.x16, t.up).relu(), t.w96, padding=1, groups=96).relu(), t.down
        ),
        "depthwise one window": lambda t: F.conv2d(
            t.x40[..., :2, :4], t.w40, stride=(2, 4), padding=1, groups=40
        ),
        "multiplier 2": lambda t: F.conv2d(t.x24, t.double24, t.b48, padding=1, groups=24),
        "multiplier 2 of 3": lambda t: F.conv2d(t.x3, t.double24[:6], padding=1, groups=3),
        "grouped 4": lambda t: F.conv2d(t.x24, t.quarter, padding=1, groups=4),
        "grouped 4 stride": lambda t: F.conv2d(t.x24, t.quarter, stride=2, padding=1, groups=4),
        "grouped 4, 1x1": lambda t: F.conv2d(t.x24, t.quarter[..., :1, :1], groups=4),
        "grouped to one each": lambda t: F.conv2d(t.x24, t.quarter[:4], padding=1, groups=4),
        "depthwise 1d": lambda t: F.conv1d(t.x24[..., 0], t.w24[..., 0], padding=1, groups=24),
        "grouped 1d": lambda t: F.conv1d(t.x24[..., 0], t.quarter[..., 0], groups=4),
        "depthwise 3d": lambda t: F.conv3d(
            t.x5[:, :, None].expand(1, 5, 4, 7, 10), t.cube5, padding=1, groups=5
        ),
    },
    {
        **{f"w{c}": rand(c, 1, 3, 3) for c in (1, 3, 5, 16, 24, 40, 96, 144)},
        "w24_7": rand(24, 1, 7, 7),
        "b40": rand(40),
        "b48": rand(48),
        "up": rand(96, 16, 1, 1),
        "down": rand(24, 96, 1, 1),
        "double24": rand(48, 1, 3, 3),
        "quarter": rand(8, 6, 3, 3),
        "cube5": rand(5, 1, 3, 3, 3),
    },
    vulkan=True,
)


def _transposed(name: str, spatial: int = 2, **options: Any) -> Case:
    def case(t: Any) -> Tensor:
        x = {1: t.x[..., 0], 2: t.x, 3: t.volume}[spatial]
        function = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}[spatial]
        return function(x, getattr(t, name), **options)

    return case


FAMILIES["transposed convolutions"] = Family(
    {"x": rand(2, 24, 5, 4), "volume": rand(1, 3, 2, 3, 4), "k": rand(24, 3, 3, 2)},
    {
        "plain": _transposed("k33"),
        "padded": _transposed("k33", padding=(2, 1)),
        "padded beyond": _transposed("k33", padding=(3, 2)),
        "stride": _transposed("k33", stride=2),
        "stride, output padding": _transposed("k33", stride=2, padding=1, output_padding=1),
        "strides": _transposed("k33", stride=(3, 1), padding=(0, 2), output_padding=(2, 0)),
        "stride beyond": _transposed("k22", stride=3, output_padding=2),
        "pixels": _transposed("k22", stride=2),
        "4x4": _transposed("k44", stride=2, padding=1),
        "1x1": _transposed("k11", stride=2),
        "dilated": _transposed("k33", dilation=(1, 2), padding=1),
        "dilated, stride": _transposed(
            "k33", stride=2, dilation=(2, 3), padding=(1, 2), output_padding=1
        ),
        "runtime kernel": _transposed("k", stride=(2, 1)),
        "bias, relu": lambda t: F.conv_transpose2d(t.x, t.k44, t.b5, stride=2, padding=1).relu(),
        "groups": _transposed("k33", stride=2, padding=1, groups=3),
        "groups, pixels": _transposed("k22", stride=2, groups=4),
        "depthwise": _transposed("one", stride=2, padding=1, groups=24),
        "unbatched": lambda t: F.conv_transpose2d(t.x[0], t.k33, stride=2),
        "of a conv": lambda t: F.conv_transpose2d(F.conv2d(t.x, t.pointwise), t.k22, stride=2),
        "1d": _transposed("line", 1, stride=2, padding=1, output_padding=1),
        "3d": _transposed("cube", 3, stride=2, padding=1, output_padding=(1, 0, 1)),
        "3d pixels": _transposed("cube2", 3, stride=2),
    },
    {
        "k33": rand(24, 5, 3, 3),
        "k22": rand(24, 5, 2, 2),
        "k44": rand(24, 5, 4, 4),
        "k11": rand(24, 5, 1, 1),
        "one": rand(24, 1, 3, 3),
        "line": rand(24, 5, 3),
        "cube": rand(3, 4, 3, 3, 3),
        "cube2": rand(3, 4, 2, 2, 2),
        "pointwise": rand(24, 24, 1, 1),
        "b5": rand(5),
    },
    vulkan=True,
)
