"""The option ``precision``: whether its value is one, and whether a target can do what it asks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from smartmem.errors import UserError
from smartmem.runtime.manifest import PRECISIONS
from smartmem.spelling import did_you_mean

if TYPE_CHECKING:
    from smartmem.passes.iree.cache import Cache
    from smartmem.passes.target import Target

# What kernels ask of a Vulkan device that read, convert and write halves.
_FEATURES = ("storageBuffer16BitAccess", "shaderFloat16")


def check_precision(precision: str, keep_fp32: Sequence[str] = ()) -> None:
    """Raises UserError for an unknown precision, and for patterns that nothing would read."""
    if precision not in PRECISIONS:
        raise UserError(
            f"unknown precision {precision!r}.{did_you_mean(precision, PRECISIONS)}",
            hint=f"Known: {', '.join(PRECISIONS)}.",
        )
    if keep_fp32 and precision != "fp16":
        raise UserError(
            "keep_fp32 says what stays float32 in a model of halves",
            hint="Compile with the precision fp16, too.",
        )


def check_holds_halves(target: Target, cache: Cache | None = None) -> None:
    """Raises UserError where devices of ``target`` need not be able to hold halves."""
    from smartmem.passes.iree.requirements import requirements

    facts = requirements(target, cache)
    missing = [name for name in _FEATURES if facts is not None and name not in facts.features]
    if missing:
        raise UserError(
            f"target {target.name}: precision fp16 needs {' and '.join(missing)}, which it does "
            "not ask of a device",
            hint="Compile for the GPU's own target (adreno, mali, nvidia, ...), or leave fp32.",
        )
