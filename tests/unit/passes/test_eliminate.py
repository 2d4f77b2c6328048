"""The passes that eliminate views and concatenations, on random graphs: the values never change."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.dialects import algebra, layout
from smartmem.dialects._mlir import func, ir
from smartmem.dialects.algebra import IndexMap
from smartmem.dialects.layout import build
from smartmem.dialects.layout.ops import ConcatOp, ViewOp
from smartmem.passes.base import Pass, block_ops, functions
from smartmem.passes.eliminate_concats import EliminateConcatsPass
from smartmem.passes.eliminate_views import EliminateViewsPass, index_map_of

PROPERTY = settings(derandomize=True, max_examples=80, deadline=None)

Shape = tuple[int, ...]


def numbered(shape: Shape) -> Any:
    return np.arange(int(np.prod(shape))).reshape(shape)


def evaluate(module: Any) -> Any:
    """What the one function of views and concats returns for the numbers 0, 1, 2, ..."""
    function = next(functions(module))
    argument = function.regions[0].blocks[0].arguments[0]
    held = {argument: numbered(build.shape(argument))}
    for op in block_ops(function):
        if isinstance(op, ViewOp):
            held[op.result] = algebra.apply(index_map_of(op), held[op.input])
        elif isinstance(op, ConcatOp):
            dim = ir.IntegerAttr(op.attributes["dim"]).value
            held[op.result] = np.concatenate([held[op.lhs], held[op.rhs]], dim)
        else:
            return held[op.operands[0]]
    raise AssertionError("no return")


def run(step: Pass, shape: Shape, make: Any) -> tuple[int, int]:
    """Ops before and after ``step`` on the function that ``make`` builds; its value must stay."""
    with layout.context():
        module = ir.Module.create()
        kind = build.tensor_of(shape, ir.F32Type.get())
        with ir.InsertionPoint(module.body):
            main = func.FuncOp("main", ir.FunctionType.get([kind], []))
        block = main.add_entry_block()
        with ir.InsertionPoint(block):
            result = make(block.arguments[0])
            func.ReturnOp([result])
        main.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get([kind], [result.type])
        )
        before, count = evaluate(module), len(block_ops(main))
        step.run(module)
        assert module.operation.verify()
        assert np.array_equal(evaluate(module), before)
        return count - 1, len(block_ops(main)) - 1


@pytest.mark.slow
@PROPERTY
@given(st.data())
def test_view_chains(data: st.DataObject) -> None:
    shape = tuple(data.draw(st.lists(st.sampled_from([1, 2, 3, 4]), min_size=1, max_size=4)))

    def make(value: Any) -> Any:
        for _ in range(data.draw(st.integers(1, 5))):
            own = build.shape(value)
            match data.draw(st.sampled_from(["permute", "roll", "flatten", "split", "flip"])):
                case "permute":
                    value = build.permute(value, data.draw(st.permutations(range(len(own)))))
                case "roll":
                    value = build.view(value, IndexMap.roll(own, [1] * len(own)))
                case "flip":
                    value = build.view(value, IndexMap.flip(own, [0]))
                case "flatten":
                    value = build.reshape(value, (int(np.prod(own)),))
                case "split":
                    sizes = (*own[:-1], own[-1] // 2, 2) if own[-1] % 2 == 0 else (1, *own)
                    value = build.reshape(value, sizes)
        return value

    before, after = run(EliminateViewsPass(), shape, make)
    assert after <= before


@pytest.mark.slow
@PROPERTY
@given(st.data())
def test_concats_of_slices(data: st.DataObject) -> None:
    """Pieces at any distance and in any order, of one image."""
    shape = (4, 8, 3)
    count = data.draw(st.integers(2, 6))
    axis = data.draw(st.integers(0, 2))
    starts = st.tuples(st.integers(0, 1), st.integers(0, 3), st.just(0))
    places = data.draw(st.lists(starts, min_size=count, max_size=count))

    def make(x: Any) -> Any:
        return build.concat([build.slice_(x, p, (2, 2, 3), (2, 2, 1)) for p in places], axis)

    run(EliminateConcatsPass(), shape, make)


def test_space_to_depth_is_one_view() -> None:
    def make(x: Any) -> Any:
        places = [(i, j, 0) for i in range(2) for j in range(2)]
        return build.concat([build.slice_(x, p, (2, 4, 3), (2, 2, 1)) for p in places], 2)

    assert run(EliminateConcatsPass(), (4, 8, 3), make) == (7, 1)
