"""Every op the importer takes gives what eager PyTorch gives; what it does not take is refused.

The cases stand in ``op_cases.py``. A family of them is one model, because starting iree-compile
costs more than what it compiles here; a failure names every wrong case of the family.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils._pytree import tree_flatten

from e2e.op_cases import FAMILIES, Family, FamilyModel, rand
from smartmem.errors import UnsupportedError, UserError

# --------------------------------------------------------------------------------- right results


def difference(expected: Tensor, actual: Tensor, tolerance: float) -> str | None:
    """What is wrong with ``actual``: relative L2 for floats, exact for all else; None if right."""
    wanted = (tuple(expected.shape), expected.dtype)
    if (tuple(actual.shape), actual.dtype) != wanted:
        return f"is {tuple(actual.shape)} {actual.dtype}, expected {wanted[0]} {wanted[1]}"
    if not expected.is_floating_point():
        wrong = int((expected != actual).sum())
        return f"{wrong} of {expected.numel()} elements differ" if wrong else None
    expected, actual = expected.double(), actual.double()
    finite = expected.isfinite()
    if not torch.equal(expected[~finite].nan_to_num(), actual[~finite].nan_to_num()) or bool(
        (finite != actual.isfinite()).any() or (expected.isnan() != actual.isnan()).any()
    ):
        return "NaN or infinities differ"
    distance = float((expected[finite] - actual[finite]).norm())
    size = float(expected[finite].norm())
    if distance <= tolerance * (size or 1.0):
        return None
    return f"relative L2 {distance / size if size else distance:.1e} > {tolerance:.0e}"


def expected_outputs(family: Family) -> dict[str, Any]:
    """Eager's outputs; for 16-bit floats those of the model in f32, rounded to eager's types."""
    model = FamilyModel(family).eval()
    with torch.no_grad():
        eager = model(*family.inputs.values())
        if family.half is None:
            return eager
        exact = model.float()(
            *(v.float() if v.dtype == family.half else v for v in family.inputs.values())
        )
    return {label: _as_types(exact[label], eager[label]) for label in eager}


def _as_types(values: Any, like: Any) -> Any:
    if isinstance(values, Tensor):
        return values.to(like.dtype)
    return type(like)(_as_types(v, k) for v, k in zip(values, like, strict=True))


def differences(family: Family, expected: Any, actual: Any) -> Iterator[str]:
    """One line per wrong output."""
    assert list(actual) == list(expected)
    for label in expected:
        wanted, tree = tree_flatten(expected[label])
        given, given_tree = tree_flatten(actual[label])
        if tree != given_tree:
            yield f"{label}: is {given_tree}, expected {tree}"
            continue
        for position, (one, other) in enumerate(zip(wanted, given, strict=True)):
            wrong = difference(one, other, family.tolerance)
            if wrong:
                yield f"{label} [{position}]: {wrong}"


@cache
def exported(name: str) -> Any:
    from smartmem.frontend.export import export

    family = FAMILIES[name]
    return export(FamilyModel(family).eval(), tuple(family.inputs.values()))


ON_CPU = [pytest.param(name, "cpu", id=f"{name}, cpu") for name in FAMILIES]
ON_VULKAN = [
    pytest.param(name, "llvmpipe", id=f"{name}, llvmpipe", marks=pytest.mark.vulkan)
    for name, family in FAMILIES.items()
    if family.vulkan
]


@pytest.mark.parametrize(("name", "target"), ON_CPU + ON_VULKAN)
def test_family(name: str, target: str, compile_and_load: Any) -> None:
    family = FAMILIES[name]
    inputs = tuple(family.inputs.values())
    session = compile_and_load(exported(name), inputs, target=target)
    wrong = list(differences(family, expected_outputs(family), session(*inputs)))
    assert not wrong, "\n".join(wrong)


class _Asked(dict[str, Any]):
    """Remembers which keys were looked up."""

    def __init__(self, entries: dict[str, Any]) -> None:
        super().__init__(entries)
        self.names: set[str] = set()

    def get(self, key: str, default: Any = None) -> Any:
        self.names.add(key)
        return super().get(key, default)


def test_every_import_rule_has_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    from smartmem.dialects import layout
    from smartmem.frontend import families, importer

    families.register_all()
    asked = _Asked(importer.HANDLERS)
    monkeypatch.setattr(importer, "HANDLERS", asked)
    with layout.context():
        for name in FAMILIES:
            importer.import_program(exported(name))
    assert set(asked) - asked.names == set()


def test_what_is_kept_whole_has_an_import_rule() -> None:
    from smartmem.frontend import families
    from smartmem.frontend.export import KEPT_WHOLE
    from smartmem.frontend.registry import HANDLERS

    families.register_all()
    assert {name.split(".")[0] for name in HANDLERS} >= KEPT_WHOLE
