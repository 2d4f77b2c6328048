"""What each op takes and gives, and the plan that selection makes of it."""

from collections.abc import Iterator
from typing import Any

import pytest

from smartmem.dialects import layout
from smartmem.dialects._mlir import func, ir
from smartmem.dialects.layout import build
from smartmem.dialects.layouts import Layout
from smartmem.passes.plan import tensor_layouts
from smartmem.passes.rules import layouts
from smartmem.passes.select_layouts import SelectLayoutsPass

ROW = Layout.row_major(4)
LAST = Layout.channels_last(4)
IMAGE = (1, 3, 8, 8)
WINDOW: dict[str, Any] = {
    "strides": [1, 1],
    "dilations": [1, 1],
    "pad_low": [0, 0],
    "pad_high": [0, 0],
}


class Net:
    """A function of one image, built op by op."""

    def __init__(self, shape: tuple[int, ...] = IMAGE) -> None:
        self.f32 = ir.F32Type.get()
        self.module = ir.Module.create()
        kind = build.tensor_of(shape, self.f32)
        with ir.InsertionPoint(self.module.body):
            self.function = func.FuncOp("main", ir.FunctionType.get([kind], []))
        self.block = self.function.add_entry_block()
        self.x = self.block.arguments[0]

    def weight(self, key: str, *shape: int) -> Any:
        return build.weight(key, shape, self.f32)

    def select(self, *results: Any) -> dict[str, int]:
        """Return ``results``, run the pass; its gains."""
        func.ReturnOp(list(results))
        kinds = [v.type for v in results]
        arguments = [v.type for v in self.block.arguments]
        self.function.attributes["function_type"] = ir.TypeAttr.get(
            ir.FunctionType.get(arguments, kinds)
        )
        report = SelectLayoutsPass().run(self.module)
        assert self.module.operation.verify()
        return dict(report.gains)

    def layouts(self, op: str) -> list[str]:
        return [str(row["layout"]) for row in tensor_layouts(self.module) if row["op"] == op]


@pytest.fixture
def net() -> Iterator[Net]:
    with layout.context():
        made = Net()
        with ir.InsertionPoint(made.block):
            yield made


def choice(value: Any, *given: Layout) -> layouts.Choice:
    return layouts.choose(value.owner.opview, given)


def test_conv_is_channels_last(net: Net) -> None:
    kernel = Layout((2, 3, 1, 0))
    made = choice(
        build.conv(net.x, net.weight("w", 4, 3, 3, 3), groups=1, **WINDOW), ROW, Layout.row_major(4)
    )
    assert made.operands == (LAST, kernel)
    assert made.result == LAST


def test_windows_side_by_side_read_any_layout(net: Net) -> None:
    pointwise = build.conv(net.x, net.weight("w", 4, 3, 1, 1), groups=1, **WINDOW)
    assert choice(pointwise, ROW, Layout.row_major(4)).operands[0] is None
    depthwise = build.conv(net.x, net.weight("d", 3, 1, 1, 1), groups=3, **WINDOW)
    assert choice(depthwise, ROW, Layout.row_major(4)).operands[0] == LAST


@pytest.mark.parametrize("given", [ROW, LAST])
def test_what_passes_a_layout_on(net: Net, given: Layout) -> None:
    pooled = build.pool(net.x, "max", kernel=[2, 2], count_include_pad=True, **WINDOW)
    for value in (pooled, build.pad(net.x, [0, 0, 1, 1], [0] * 4, 0.0), build.softmax(net.x, 1)):
        assert choice(value, given).result == given


def test_positions_along_one_dim_keep_the_layout(net: Net) -> None:
    integer, positions = ir.IntegerType.get_signless(32), Layout.row_major(1)
    rows = build.gather(net.x, build.splat(1, integer, (5,)), 2)
    assert choice(rows, LAST, positions).result == LAST
    table = build.gather(net.x, build.splat(1, integer, (5, 2)), 2)
    assert choice(table, LAST, Layout.row_major(2)).result == Layout.row_major(5)


def test_elementwise_follows_the_operand_with_a_layout_of_its_own(net: Net) -> None:
    bias = net.weight("b", 3, 1, 1)
    added = build.elementwise("add", net.x, bias)
    assert choice(added, LAST, Layout.row_major(3)).result == LAST
    assert choice(added, ROW, Layout.row_major(3)).result == ROW
    both = build.elementwise("add", net.x, net.x)
    assert choice(both, ROW, LAST).result == LAST


def test_concat_takes_one_layout(net: Net) -> None:
    made = choice(build.concat([net.x, net.x], 1), LAST, ROW)
    assert made.operands == (made.result, made.result)


@pytest.mark.parametrize(
    ("shape", "axes", "expected"),
    [((8, 6), [1, 2], (1, 0)), ((6, 8), [2, 1], (0, 1))],
)
def test_a_weight_lies_reduction_first(
    net: Net, shape: tuple[int, int], axes: list[int], expected: tuple[int, ...]
) -> None:
    rows = build.reshape(net.x, (32, 6))
    product = build.contract(rows, net.weight("w", *shape), [[0, 2], axes, [0, 1]])
    made = choice(product, Layout.row_major(2), Layout.row_major(2))
    assert made.operands == (None, Layout(expected))


def test_an_op_without_a_rule_is_a_barrier(net: Net, monkeypatch: pytest.MonkeyPatch) -> None:
    pooled = build.pool(net.x, "max", kernel=[2, 2], count_include_pad=True, **WINDOW)
    monkeypatch.delitem(layouts.RULES, "layout.pool")
    assert choice(pooled, LAST) == layouts.Choice((ROW,), ROW)


def test_a_chain_needs_relayouts_at_its_ends_only(net: Net) -> None:
    value = net.x
    for index in range(3):
        kernel = net.weight(f"w{index}", 3, 3, 3, 3)
        value = build.elementwise("relu", build.conv(value, kernel, groups=1, **WINDOW))
    gains = net.select(value)
    assert gains["relayouts"] == 2
    assert gains["relayout_bytes"] == 3 * 8 * 8 * 4 + 3 * 2 * 2 * 4
    assert net.layouts("conv") == [str(LAST)] * 3


def test_results_leave_row_major(net: Net) -> None:
    value = build.conv(net.x, net.weight("w", 4, 3, 1, 1), groups=1, **WINDOW)
    net.select(value)
    returned = net.block.operations[len(net.block.operations) - 1].operands[0]
    assert ir.RankedTensorType(returned.type).encoding is None


def test_an_earlier_reader_keeps_its_layout(net: Net) -> None:
    """A view that a softmax read is not rewritten by a convolution that comes later."""
    image = build.permute(net.x, (0, 1, 3, 2))
    rows = build.softmax(image, 3)
    value = build.conv(image, net.weight("w", 4, 3, 3, 3), groups=1, **WINDOW)
    gains = net.select(rows, value)
    assert net.layouts("softmax") == [str(ROW)]
    assert gains["relayouts"] == 2


def test_a_weight_in_two_layouts_is_loaded_twice(net: Net) -> None:
    kernel = net.weight("w", 3, 3, 3, 3)
    value = build.conv(net.x, kernel, groups=1, **WINDOW)
    scaled = build.softmax(kernel, 3)
    gains = net.select(value, scaled)
    assert sorted(net.layouts("weight")) == sorted([str(ROW), str(Layout((2, 3, 1, 0)))])
    assert gains["relayouts"] == 2
