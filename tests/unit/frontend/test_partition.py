"""Splitting a captured graph: which calls form parts, what is bound, what is left for eager."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from unit.frontend.opaque import NAME, opaque

from smartmem.dialects import layout
from smartmem.frontend.capture import capture
from smartmem.frontend.importer import survey
from smartmem.frontend.partition import LEAST_CALLS, Split, flops, split

# Each case exports a model through torch.
pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def weights() -> None:
    torch.manual_seed(0)


def pieces(model: Callable[..., Any], *arguments: Any, frozen: tuple[int, ...] = ()) -> Split:
    """``model``'s graph split; it must compute what the model does."""
    graph = torch.fx.symbolic_trace(model)
    captured = capture(graph, arguments, frozen)
    with layout.context():
        found = survey(captured.program)
    made = split(captured, found, arguments)
    for part in made.parts:
        setattr(made.graph, part.name, _Eager(part.module))
    torch.manual_seed(0)
    values = made.graph(*arguments)
    torch.manual_seed(0)
    expected = model(*arguments)
    for result, wanted in zip(made.results, expected, strict=True):
        torch.testing.assert_close(result.of(values), wanted)
    return made


class _Eager(nn.Module):
    def __init__(self, module: Any) -> None:
        super().__init__()
        self.forward = module.eager


class Drawing(nn.Module):
    """A function as a module."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x)


def names(made: Split) -> list[list[str]]:
    return [[str(call.target) for call in part.calls] for part in made.parts]


def square() -> Tensor:
    return torch.randn(4, 4)


def test_a_graph_without_islands_is_one_part() -> None:
    made = pieces(lambda x, y: ((x @ y).relu(), y.exp()), square(), square())
    assert names(made) == [["aten.matmul.default", "aten.relu.default", "aten.exp.default"]]
    assert (made.eager, made.crossings) == ((), 0)


def test_no_path_leaves_a_part_and_enters_it_again() -> None:
    """Before, beside and after an island: what stands beside joins one of the others."""

    def model(x: Tensor) -> tuple[Tensor]:
        before = x @ x
        beside = before @ x
        return ((opaque(before) + beside) @ x,)

    made = pieces(model, square())
    assert [len(part.calls) for part in made.parts] == [1, 3]
    assert [str(c.target) for c in made.eager] == [NAME]
    assert made.crossings == 2


def test_the_least_size_of_a_part_beside_islands() -> None:
    def model(count: int) -> Callable[[Tensor], tuple[Tensor]]:
        def run(x: Tensor) -> tuple[Tensor]:
            y = opaque(x)
            for _ in range(count):
                y = y.tanh().permute(1, 0)
            return (opaque(y),)

        return run

    small = torch.zeros(2, 3)
    assert not pieces(model(LEAST_CALLS - 1), small).parts
    assert len(pieces(model(LEAST_CALLS), small).parts) == 1


def test_moving_elements_alone_is_no_part() -> None:
    assert not pieces(lambda x: (x.permute(1, 0).flip(0),), square()).parts


def test_constants_are_bound_in_the_part_that_reads_them() -> None:
    def model(x: Tensor, weight: Tensor) -> tuple[Tensor]:
        return (opaque(x @ weight.exp()) @ weight,)

    made = pieces(model, square(), square(), frozen=(1,))
    assert [len(part.examples) for part in made.parts] == [1, 1]
    assert names(made) == [["aten.matmul.default"], ["aten.matmul.default"]]


def test_written_arguments_are_inputs_though_frozen() -> None:
    def model(x: Tensor, count: Tensor) -> tuple[Tensor]:
        count.add_(1)
        return (x @ x * count,)

    graph = torch.fx.symbolic_trace(model)
    captured = capture(graph, (square(), torch.zeros(())), (1,))
    assert captured.frozen == ()
    with layout.context():
        made = split(captured, survey(captured.program), (square(), torch.zeros(())))
    assert [position for position, _ in made.written] == [1]


def test_views_that_share_memory_are_left_for_eager() -> None:
    def model(x: Tensor) -> tuple[Tensor, ...]:
        y = x @ x
        return x.permute(1, 0), y, y.view(16), x.relu().view(16)

    made = pieces(model, square())
    assert [len(result.views) for result in made.results] == [1, 0, 1, 0]
    assert names(made) == [["aten.matmul.default", "aten.relu.default", "aten.view.default"]]


def test_random_calls_keep_their_order() -> None:
    def model(x: Tensor) -> tuple[Tensor, ...]:
        first = torch.rand_like(x @ x)
        return first @ x, torch.randn_like(x)

    graph = torch.fx.symbolic_trace(model)
    captured = capture(graph, (square(),), ())
    with layout.context():
        made = split(captured, survey(captured.program), (square(),))
    drawn = [name for n in made.graph.graph.nodes if "rand" in (name := n.name)]
    assert [name.split("_like")[0] for name in drawn] == ["rand", "randn"]


def test_what_is_drawn_into_a_shape_splits_no_part() -> None:
    def model(x: Tensor) -> tuple[Tensor, ...]:
        y = x @ x
        return ((y + torch.rand_like(y)) @ x,)

    graph = torch.fx.symbolic_trace(model)
    captured = capture(graph, (square(),), ())
    with layout.context():
        made = split(captured, survey(captured.program), (square(),))
    assert (len(made.parts), made.draws, made.eager, made.crossings) == (1, 1, (), 1)


def test_a_draw_that_nobody_reads_is_made() -> None:
    def model(x: Tensor) -> tuple[Tensor, ...]:
        torch.randn_like(x)
        nn.functional.dropout(x, 0.5, True)
        return (x + torch.rand_like(x),)

    made = pieces(model, square())
    assert (made.draws, made.eager) == (3, ())


@pytest.mark.parametrize(
    "draw",
    [
        torch.rand_like,
        lambda x: x.clone().normal_(),
        lambda x: torch.bernoulli(x, 0.5),
        lambda x: torch.empty_like(x).bernoulli_(0.5),
        lambda x: torch.randint_like(x, 3, 9),
    ],
)
def test_numbers_are_drawn_in_the_order_of_memory(draw: Callable[[Tensor], Tensor]) -> None:
    for x in (torch.ones(2, 3, 4, 5).to(memory_format=torch.channels_last), torch.ones(4, 3).T):
        captured = capture(torch.fx.symbolic_trace(Drawing(draw)), (x,), ())
        run = captured.program.module()
        torch.manual_seed(0)
        expected = draw(x)
        torch.manual_seed(0)
        assert torch.equal(run(x), expected)


@pytest.mark.parametrize(
    ("model", "shapes", "count"),
    [
        (lambda x, w: (nn.functional.linear(x, w),), [(3, 4), (5, 4)], 2 * 3 * 4 * 5),
        (lambda x, w: (nn.functional.conv2d(x, w),), [(1, 2, 5, 5), (3, 2, 3, 3)], 2 * 27 * 18),
        (
            lambda q, k: (nn.functional.scaled_dot_product_attention(q, k, k),),
            [(1, 2, 3, 4), (1, 2, 5, 4)],
            2 * (2 * 2 * 3 * 5 * 4),
        ),
        (lambda x, y: (x + y,), [(3, 4), (3, 4)], 0),
    ],
    ids=["linear", "convolution", "attention", "elementwise"],
)
def test_flops(model: Any, shapes: list[tuple[int, ...]], count: int) -> None:
    made = pieces(model, *(torch.randn(shape) for shape in shapes))
    assert sum(flops(call) for part in made.parts for call in part.calls) == count
