"""What is wrong with a result, against eager's.

Integers and bools must be equal. Floats: NaN and infinities at the same places, and the rest within
a relative L2 distance of ``TOLERANCE`` (16-bit floats: ``HALF_TOLERANCE``). Rounding of numbers
around 1 is no fault, however small the result: an average error per element of ``RESOLUTION`` is
always allowed.
"""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

TOLERANCE = 1e-4
HALF_TOLERANCE = 5e-3
RESOLUTION = 1e-7


def _distance(expected: Tensor, actual: Tensor) -> str | None:
    """What is wrong with a float tensor of the right shape and type."""
    tolerance = TOLERANCE if expected.dtype.itemsize > 2 else HALF_TOLERANCE
    expected, actual = expected.double(), actual.double()
    finite = expected.isfinite()
    same = torch.equal(expected[~finite].nan_to_num(), actual[~finite].nan_to_num())
    if not same or bool(
        ((expected.isnan() != actual.isnan()) | (finite != actual.isfinite())).any()
    ):
        return "NaN or infinities differ"
    distance = float((expected[finite] - actual[finite]).norm())
    size = float(expected[finite].norm())
    allowed = max(tolerance * size, RESOLUTION * float(finite.sum()) ** 0.5)
    return None if distance <= allowed else f"relative L2 {distance / (size or 1.0):.1e}"


def _difference(expected: Any, actual: Any) -> str | None:
    if not isinstance(expected, Tensor):
        return None if expected == actual else f"is {actual!r}, expected {expected!r}"
    wanted = (tuple(expected.shape), expected.dtype)
    if (tuple(actual.shape), actual.dtype) != wanted:
        return f"is {tuple(actual.shape)} {actual.dtype}, expected {wanted[0]} {wanted[1]}"
    if expected.is_floating_point():
        return _distance(expected, actual)
    wrong = int((expected != actual).sum())
    return f"{wrong} of {expected.numel()} elements differ" if wrong else None


def difference(expected: Any, actual: Any) -> str | None:
    """What is wrong with ``actual``, a tensor or a nest of them; None where it is right."""
    wanted, given = tree_leaves(expected), tree_leaves(actual)
    if len(wanted) != len(given):
        return f"{len(given)} results, expected {len(wanted)}"
    for position, (one, other) in enumerate(zip(wanted, given, strict=True)):
        wrong = _difference(one, other)
        if wrong:
            return wrong if len(wanted) == 1 else f"result {position}: {wrong}"
    return None
