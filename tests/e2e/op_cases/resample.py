"""Interpolation and grid sampling."""

from typing import Any

import torch.nn.functional as F
from e2e.op_cases.common import Case, Family, rand
from torch import Tensor

FAMILIES: dict[str, Family] = {}


def _resized(name: str, *size: int, **options: Any) -> Case:
    def case(t: Any) -> Tensor:
        return F.interpolate(getattr(t, name), size or None, **options)

    return case


FAMILIES["interpolation"] = Family(
    {"x": rand(2, 3, 5, 6), "v": rand(2, 3, 7), "d": rand(1, 2, 3, 4, 5), "c": rand(1, 24, 4, 5)},
    {
        "nearest": _resized("x", scale_factor=2),
        "nearest, sizes": _resized("x", 7, 4),
        "nearest, factor": _resized("x", scale_factor=1.5),
        "nearest, smaller": _resized("x", scale_factor=0.5),
        "nearest, factor recomputed": _resized("x", scale_factor=1.7, recompute_scale_factor=True),
        "nearest 1d": _resized("v", 13),
        "nearest 3d": _resized("d", scale_factor=2),
        "nearest of a conv": lambda t: F.interpolate(F.conv2d(t.c, t.w), scale_factor=2).relu(),
        "exact": _resized("x", 7, 4, mode="nearest-exact"),
        "exact 3d": _resized("d", 2, 5, 7, mode="nearest-exact"),
        "linear": _resized("v", 13, mode="linear"),
        "linear aligned": _resized("v", scale_factor=0.7, mode="linear", align_corners=True),
        "bilinear": _resized("x", scale_factor=2, mode="bilinear"),
        "bilinear, sizes": _resized("x", 3, 11, mode="bilinear"),
        "bilinear, factors": _resized("x", scale_factor=(1.3, 0.6), mode="bilinear"),
        "bilinear aligned": _resized("x", 3, 11, mode="bilinear", align_corners=True),
        "bilinear aligned to 1": _resized("x", 1, 1, mode="bilinear", align_corners=True),
        "bilinear, same": lambda t: F.interpolate(t.x, (5, 6), mode="bilinear") * 2,
        "bilinear of a conv": lambda t: F.conv2d(
            F.interpolate(F.conv2d(t.c, t.w), scale_factor=2, mode="bilinear"), t.w
        ),
        "bilinear antialiased": _resized("x", 3, 4, mode="bilinear", antialias=True),
        "bicubic": _resized("x", scale_factor=2, mode="bicubic"),
        "bicubic, factor": _resized("x", scale_factor=1.3, mode="bicubic"),
        "bicubic aligned": _resized("x", 8, 3, mode="bicubic", align_corners=True),
        "bicubic antialiased": _resized("x", 3, 9, mode="bicubic", antialias=True),
        "trilinear": _resized("d", scale_factor=2, mode="trilinear"),
        "trilinear aligned": _resized("d", 5, 3, 4, mode="trilinear", align_corners=True),
        "area": _resized("x", 3, 4, mode="area"),
    },
    {"w": rand(24, 24, 1, 1)},
    vulkan=True,
)


def _sampled(name: str, grid: str, mode: str, padding: str, aligned: bool) -> Case:
    def case(t: Any) -> Tensor:
        return F.grid_sample(getattr(t, name), getattr(t, grid), mode, padding, aligned)

    return case


_ON_VULKAN = ("bilinear zeros", "nearest border aligned", "bicubic reflection", "3d", "warped")

FAMILIES["grid sampling"] = Family(
    {
        "x": rand(2, 3, 5, 6),
        "grid": rand(2, 4, 7, 2, scale=0.8),
        "d": rand(1, 3, 3, 4, 5),
        "deep": rand(1, 3, 2, 4, 3, scale=0.8),
        "theta": rand(2, 2, 3),
        "theta3": rand(1, 3, 4),
    },
    {
        f"{mode} {padding}{' aligned' * aligned}": _sampled("x", "grid", mode, padding, aligned)
        for mode in ("bilinear", "nearest", "bicubic")
        for padding in ("zeros", "border", "reflection")
        for aligned in (False, True)
    }
    | {
        "3d": _sampled("d", "deep", "bilinear", "zeros", False),
        "3d nearest": _sampled("d", "deep", "nearest", "border", True),
        "3d reflection": _sampled("d", "deep", "bilinear", "reflection", True),
        "affine_grid": lambda t: F.affine_grid(t.theta, [2, 3, 4, 5], align_corners=False),
        "affine_grid aligned": lambda t: F.affine_grid(t.theta, [2, 3, 4, 5], align_corners=True),
        "affine_grid 3d": lambda t: F.affine_grid(t.theta3, [1, 3, 2, 4, 5], align_corners=False),
        "warped": lambda t: F.grid_sample(
            t.x, F.affine_grid(t.theta, [2, 3, 4, 5], align_corners=False), align_corners=False
        ),
    },
    vulkan=frozenset(_ON_VULKAN),
)
