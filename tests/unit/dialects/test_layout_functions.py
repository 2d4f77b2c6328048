"""The table of elementwise functions, and the two places that must agree with it."""

import pytest

from smartmem.dialects import layout
from smartmem.dialects._mlir import ir
from smartmem.dialects.layout import build
from smartmem.dialects.layout.functions import FUNCTIONS
from smartmem.passes.lower.elementwise import ON_SCALARS


def test_every_function_has_a_lowering() -> None:
    """``cast`` alone is not in the table: it needs the result's type."""
    assert set(FUNCTIONS) == set(ON_SCALARS) | {"cast"}


@pytest.mark.parametrize("name", sorted(FUNCTIONS))
def test_verifier_counts_operands(name: str) -> None:
    arity = FUNCTIONS[name].arity
    with layout.context():
        module = ir.Module.create()
        boolean = ir.IntegerType.get_signless(1)
        with ir.InsertionPoint(module.body):
            value = build.splat(1, ir.F32Type.get(), (2,))
            flag = build.splat(1, boolean, (2,))
            values = [value] * arity
            if name in ("where", "logical_not"):
                values[0] = flag
            element = ir.F16Type.get() if FUNCTIONS[name].result == "any" else None
            result = build.elementwise(name, *values, element=element)
        assert module.operation.verify()
        is_bool = FUNCTIONS[name].result == "bool"
        assert (ir.RankedTensorType(result.type).element_type == boolean) == is_bool
