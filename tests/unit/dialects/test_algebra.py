"""Index maps against NumPy: every simplification rule, random chains of views, and the steps they
factor into.
"""

import time
from collections.abc import Callable
from itertools import product
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.dialects.algebra import (
    Collapse,
    Const,
    Dim,
    Expand,
    Expr,
    IndexMap,
    Slice,
    Step,
    Transpose,
    apply,
    compose,
    evaluate,
    factor,
    inverse,
    simplify,
)
from smartmem.dialects.expressions import interval
from smartmem.dialects.simplifier import Simplifier

PROPERTY = settings(derandomize=True, max_examples=150, deadline=None)

D0, D1, D2 = Dim(0), Dim(1), Dim(2)


def numbered(shape: tuple[int, ...]) -> np.ndarray:
    return np.arange(prod(shape)).reshape(shape)


def chain(*maps: IndexMap) -> IndexMap:
    """The views of ``maps`` one after the other, the first one viewing the source."""
    total = maps[0]
    for index_map in maps[1:]:
        total = compose(index_map, total)
    return total


def values(expr: Expr, extents: tuple[int, ...]) -> list[int]:
    """``expr`` at each index, by Python's own arithmetic on MLIR's text of it."""
    text = str(expr).replace("floordiv", "//").replace("mod", "%")
    names = [f"d{i}" for i in range(len(extents))]
    points = product(*(range(extent) for extent in extents))
    return [eval(text, dict(zip(names, point, strict=True))) for point in points]


def run_steps(steps: tuple[Step, ...], array: np.ndarray) -> np.ndarray:
    for step in steps:
        array = step.apply(array)
        assert array.shape == step.shape
    return array


def check_against(index_map: IndexMap, expected: np.ndarray) -> None:
    """Evaluation, ``apply`` and the steps all give ``expected`` of a numbered source."""
    source = numbered(index_map.codomain)
    read = np.broadcast_to(source[evaluate(index_map)], index_map.domain)
    assert np.array_equal(read, expected)
    assert np.array_equal(apply(index_map, source), expected)
    if (steps := factor(index_map)) is not None:
        assert np.array_equal(run_steps(steps, source), expected)


# -------------------------------------------------------------------------------------- expressions


@pytest.mark.parametrize(
    ("expr", "text"),
    [
        (D0 // 8, "d0 floordiv 8"),
        ((D1 % 32) // 4, "(d1 mod 32) floordiv 4"),
        (D0 * 8 + D1 // 32, "d0 * 8 + d1 floordiv 32"),
        ((D0 + D1) % 4 * 3, "((d0 + d1) mod 4) * 3"),
        (7 - D0, "-d0 + 7"),
        (D1 - D0 * 2, "d1 - d0 * 2"),
        (D0 + -3, "d0 - 3"),
        (-(D0 + D1), "-(d0 + d1)"),
        ((D0 + 0) * 1, "d0"),
        (D0 * 2 * 3 + 0, "d0 * 6"),
        (D0 * 0 + 5, "5"),
        (D0 // 2 // 3, "d0 floordiv 6"),
        (D0 % 12 % 4, "d0 mod 4"),
        (D0 % 1, "0"),
        (Const(-7) // 2 + Const(-7) % 4, "-3"),
    ],
)
def test_operators_fold_and_print_affine_syntax(expr: Expr, text: str) -> None:
    assert str(expr) == text


@pytest.mark.parametrize(
    "build", [lambda: D0 // 0, lambda: D0 // -2, lambda: D0 % 0, lambda: Const(3) % 0]
)
def test_divisors_are_positive(build: Callable[[], Expr]) -> None:
    with pytest.raises(ValueError, match="positive"):
        build()


RANGE = range(1, 7)
RULES: list[tuple[str, Callable[[int, int, int], tuple[Expr, Expr, tuple[int, ...]]]]] = [
    ("(i/a)/b", lambda n, a, b: (D0 // a // b, D0 // (a * b), (n * 5,))),
    ("(i/a)%b", lambda n, a, b: (D0 // a % b, (D0 % (a * b)) // a, (n * 7,))),
    ("(i%(a*b))%b", lambda n, a, b: ((D0 % (a * b)) % b, D0 % b, (n * 7,))),
    ("(i*a+j)/a", lambda n, a, b: ((D0 * a + D1) // a, D0, (n, a))),
    ("(i*a+j)%a", lambda n, a, b: ((D0 * a + D1) % a, D1, (n, a))),
    ("(i*a+j)/(a*b)", lambda n, a, b: ((D0 * a + D1) // (a * b), D0 // b, (n, a))),
    ("(i*a+j)%(a*b)", lambda n, a, b: ((D0 * a + D1) % (a * b), D0 % b * a + D1, (n, a))),
    ("i/c", lambda n, a, b: (D0 // (n + a), Const(0), (n,))),
    ("i%c", lambda n, a, b: (D0 % (n + a), D0, (n,))),
    ("(i/a)*a+i%a", lambda n, a, b: (D0 // a * a + D0 % a, D0, (n * 3,))),
    ("(i/ab)*b+i/a%b", lambda n, a, b: (D0 // (a * b) * b + D0 // a % b, D0 // a, (n * 5,))),
    ("i-(i/a)*a", lambda n, a, b: (D0 - D0 // a * a, D0 % a, (n * 3,))),
    ("i*a/a + const", lambda n, a, b: ((D0 * a + b * a + a - 1) // a, D0 + b, (n,))),
    ("size 1", lambda n, a, b: (D0 * a + D1, D0 * a, (n, 1))),
    ("roll of roll", lambda n, a, b: (((D0 + a) % n + b) % n, (D0 + a + b) % n, (n,))),
    ("flip in digits", lambda n, a, b: ((n * a - 1 - D0 * a - D1) // a, n - 1 - D0, (n, a))),
]  # fmt: skip


@pytest.mark.parametrize(("name", "rule"), RULES, ids=[name for name, _ in RULES])
def test_simplification_rules(name: str, rule: Callable[[int, int, int], Any]) -> None:
    for n, a, b in product(RANGE, RANGE, RANGE):
        written, expected, extents = rule(n, a, b)
        simplifier = Simplifier(extents)
        simplified = simplifier.simplify(written)
        assert values(simplified, extents) == values(written, extents)
        assert simplified == simplifier.simplify(expected), (name, n, a, b)


@st.composite
def expressions(draw: st.DrawFn, depth: int = 4) -> Expr:
    if depth == 0 or draw(st.integers(0, 4)) == 0:
        return draw(st.sampled_from([D0, D1, D2, D0, D1, Const(2), Const(-3)]))
    inner = draw(expressions(depth=depth - 1))
    match draw(st.sampled_from(["add", "sub", "mul", "div", "mod"])):
        case "add":
            return inner + draw(expressions(depth=depth - 1))
        case "sub":
            return inner - draw(expressions(depth=depth - 1))
        case "mul":
            return inner * draw(st.sampled_from([-1, 2, 3, 4, 6]))
        case "div":
            return inner // draw(st.sampled_from([2, 3, 4, 6]))
        case _:
            return inner % draw(st.sampled_from([2, 3, 4, 6, 12]))


@pytest.mark.slow
@settings(PROPERTY, max_examples=200)
@given(expressions(), st.tuples(*[st.integers(1, 9)] * 3))
def test_simplify_keeps_every_value(expr: Expr, extents: tuple[int, ...]) -> None:
    simplifier = Simplifier(extents)
    simplified = simplifier.simplify(expr)
    expected = values(expr, extents)
    assert values(simplified, extents) == expected
    low, high = interval(expr, extents)
    assert low <= min(expected) and max(expected) <= high


# ------------------------------------------------------------------------------------- constructors


def test_constructors_agree_with_numpy() -> None:
    a = numbered((2, 3, 4))
    check_against(IndexMap.identity(a.shape), a)
    check_against(IndexMap.reshape(a.shape, (4, 1, 6)), a.reshape(4, 1, 6))
    check_against(IndexMap.permute(a.shape, (2, 0, 1)), a.transpose(2, 0, 1))
    check_against(IndexMap.slice(a.shape, (1, 0, 3), (1, 2, 4), (1, 2, -1)), a[1:2, 0:3:2, ::-1])
    check_against(IndexMap.flip(a.shape, (0, 2)), np.flip(a, (0, 2)))
    check_against(IndexMap.roll(a.shape, (0, 1, -2)), np.roll(a, (0, 1, -2), (0, 1, 2)))
    check_against(IndexMap.tile(a.shape, (2, 1, 3, 2)), np.tile(a, (2, 1, 3, 2)))
    b = numbered((3, 1))
    check_against(IndexMap.expand(b.shape, (2, 3, 4)), np.broadcast_to(b, (2, 3, 4)))
    scalar = numbered(())
    check_against(IndexMap.expand((), (2, 3)), np.broadcast_to(scalar, (2, 3)))
    check_against(IndexMap.reshape((), (1, 1)), scalar.reshape(1, 1))
    check_against(IndexMap.reshape((1, 1), ()), scalar)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: IndexMap.reshape((2, 3), (4,)), "element counts differ"),
        (lambda: IndexMap.permute((2, 3), (0, 0)), "no permutation"),
        (lambda: IndexMap.expand((2, 3), (2, 4)), "cannot broadcast"),
        (lambda: IndexMap.expand((2, 3), (3,)), "cannot broadcast"),
        (
            lambda: IndexMap.slice((4,), (1,), (4,), (1,)),
            "reads 1..4, outside source dim 0 of size 4",
        ),
        (lambda: IndexMap.slice((4,), (1, 0), (2,), (1,)), "one entry per dim"),
        (lambda: IndexMap.slice((4,), (0,), (0,), (1,)), "empty dim"),
        (lambda: IndexMap.flip((4,), (1,)), "outside rank 1"),
        (lambda: IndexMap.roll((4,), ()), "one entry per dim"),
        (lambda: IndexMap.tile((4, 2), (2,)), "fewer than the dims"),
        (lambda: IndexMap((4,), (4, 4), (D0,)), "1 index expressions"),
        (lambda: IndexMap((4,), (4,), (D1,)), "names a dim outside"),
        (lambda: IndexMap((4, 4), (6,), (D0 + D1,)), "reads 0..6"),
        (lambda: IndexMap((4,), (4,), (D0 * 2 - D0 // 2,)), "reads 0..5"),
        (lambda: compose(IndexMap.identity((3,)), IndexMap.identity((4,))), "cannot compose"),
        (lambda: apply(IndexMap.identity((3,)), numbered((4,))), "not \\[4\\]"),
    ],
)
def test_errors_say_what_is_wrong(build: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_bounds_use_the_ranges_of_related_terms() -> None:
    IndexMap((12,), (12,), (D0 // 4 * 4 + D0 % 4,))
    IndexMap((4,), (4,), (D0 * 2 - D0,))


# ----------------------------------------------------------------------------------- papers.md §1.5


def test_worked_example_both_ways() -> None:
    reshape = IndexMap.reshape((2, 256, 4), (16, 8, 4, 4))
    pull = compose(IndexMap.permute((16, 8, 4, 4), (0, 2, 1, 3)), reshape)
    i, j, k, m = (Dim(d) for d in range(4))
    expected = IndexMap((16, 4, 8, 4), (2, 256, 4), (i // 8, i % 8 * 32 + k * 4 + j, m))
    assert pull == simplify(expected)
    assert str(pull) == "(d0, d1, d2, d3) -> (d0 floordiv 8, (d0 mod 8) * 32 + d2 * 4 + d1, d3)"
    check_against(pull, numbered((2, 256, 4)).reshape(16, 8, 4, 4).transpose(0, 2, 1, 3))
    push = inverse(pull)
    assert push is not None
    written = (D0 * 8 + D1 // 32, D1 % 4, (D1 % 32) // 4, D2)
    assert push == simplify(IndexMap((2, 256, 4), (16, 4, 8, 4), written))
    assert compose(push, pull) == IndexMap.identity((2, 256, 4))


# --------------------------------------------------------------------------------------- properties


@st.composite
def views(draw: st.DrawFn, shape: tuple[int, ...]) -> tuple[IndexMap, Callable[[Any], Any]]:
    """A random view of ``shape`` and NumPy's way of making it."""
    rank = len(shape)
    kinds = ["reshape", "permute", "slice", "expand", "roll", "flip", "tile"]
    match draw(st.sampled_from(kinds)):
        case "permute":
            perm = tuple(draw(st.permutations(range(rank))))
            return IndexMap.permute(shape, perm), lambda a: a.transpose(perm)
        case "slice":
            steps = [draw(st.integers(1, 2)) for _ in shape]
            starts = [draw(st.integers(0, max(0, n // 4))) for n in shape]
            most = [(n - s - 1) // t + 1 for n, s, t in zip(shape, starts, steps, strict=True)]
            sizes = [draw(st.integers(max(1, m // 2), m)) for m in most]
            cut = tuple(
                slice(s, s + (n - 1) * t + 1, t)
                for s, n, t in zip(starts, sizes, steps, strict=True)
            )
            return IndexMap.slice(shape, starts, sizes, steps), lambda a: a[cut]
        case "expand" if prod(shape) <= 64:
            lead = draw(st.sampled_from([(), (2,), (1,)]))
            result = lead + tuple(n if n > 1 else draw(st.integers(1, 3)) for n in shape)
            return IndexMap.expand(shape, result), lambda a: np.broadcast_to(a, result)
        case "tile" if prod(shape) <= 64:
            repeats = [draw(st.integers(1, 2)) for _ in shape]
            return IndexMap.tile(shape, repeats), lambda a: np.tile(a, repeats)
        case "roll":
            shifts = [draw(st.integers(-2, 2)) for _ in shape]
            axes = tuple(range(rank))
            return IndexMap.roll(shape, shifts), lambda a: np.roll(a, shifts, axes) if axes else a
        case "flip":
            dims = tuple(d for d in range(rank) if draw(st.booleans()))
            return IndexMap.flip(shape, dims), lambda a: np.flip(a, dims)
        case _:
            result = draw(reshaped(prod(shape)))
            return IndexMap.reshape(shape, result), lambda a: a.reshape(result)


@st.composite
def reshaped(draw: st.DrawFn, count: int) -> tuple[int, ...]:
    """A shape of ``count`` elements, with dims of size 1 among it."""
    dims: list[int] = []
    while count > 1 or (len(dims) < 4 and draw(st.integers(0, 3)) == 0):
        divisors = [d for d in range(1, count + 1) if count % d == 0]
        size = count if len(dims) >= 4 else draw(st.sampled_from(divisors))
        dims.append(size)
        count //= size
    return tuple(dims)


@st.composite
def chains(
    draw: st.DrawFn, most: int = 6
) -> tuple[list[IndexMap], list[Callable[[Any], Any]], tuple[int, ...]]:
    shape = tuple(draw(st.lists(st.sampled_from([1, 2, 3, 4, 6, 8]), min_size=1, max_size=3)))
    maps: list[IndexMap] = []
    functions: list[Callable[[Any], Any]] = []
    current = shape
    for _ in range(draw(st.integers(1, most))):
        index_map, function = draw(views(current))
        maps.append(index_map)
        functions.append(function)
        current = index_map.domain
    return maps, functions, shape


@pytest.mark.slow
@settings(PROPERTY, max_examples=200)
@given(chains())
def test_chains_equal_numpy(
    case: tuple[list[IndexMap], list[Callable[[Any], Any]], tuple[int, ...]],
) -> None:
    maps, functions, shape = case
    expected = numbered(shape)
    for function in functions:
        expected = function(expected)
    total = chain(*maps)
    check_against(total, expected)
    again = simplify(total)
    assert again == total or factor(total) is None  # without digits one form is not promised
    assert all(map(np.array_equal, evaluate(again), evaluate(total)))
    stepwise = numbered(shape)
    for index_map in maps:
        stepwise = apply(index_map, stepwise)
    assert np.array_equal(stepwise, expected)
    flat = expected.ravel()
    assert total.is_injective() == (len(set(flat.tolist())) == flat.size)
    assert total.is_bijective() == (sorted(flat.tolist()) == list(range(prod(shape))))
    assert total.is_identity() == np.array_equal(expected, numbered(shape))
    if (back := inverse(total)) is not None:
        assert compose(back, total).is_identity() and compose(total, back).is_identity()


@settings(PROPERTY, max_examples=60)
@given(st.data())
def test_reshapes_and_permutations_always_factor_and_invert(data: st.DataObject) -> None:
    """Nested splits (powers of two) give digits: bijections of any length have steps, an inverse,
    and one form.
    """
    shape: tuple[int, ...] = (4, 8, 2, 4)
    maps: list[IndexMap] = []
    for turn in range(5):
        current = maps[-1].domain if maps else shape
        if turn % 2:
            maps.append(IndexMap.permute(current, data.draw(st.permutations(range(len(current))))))
        else:
            maps.append(IndexMap.reshape(current, data.draw(reshaped(prod(shape)))))
    total = chain(*maps)
    assert factor(total) is not None
    assert total.is_bijective()
    back = inverse(total)
    assert back is not None
    assert compose(back, total) == IndexMap.identity(shape)
    assert compose(total, back) == IndexMap.identity(total.domain)


@settings(PROPERTY, max_examples=100)
@given(st.integers(1, 60), st.data())
def test_a_reshape_has_at_most_two_steps_and_moves_nothing(count: int, data: st.DataObject) -> None:
    source, result = data.draw(reshaped(count)), data.draw(reshaped(count))
    steps = factor(IndexMap.reshape(source, result))
    assert steps is not None and len(steps) <= 2
    if source:
        assert all(isinstance(step, Expand | Collapse) for step in steps)
    assert np.array_equal(run_steps(steps, numbered(source)), numbered(result))
    assert (steps == ()) == (source == result)


@settings(PROPERTY, max_examples=60)
@given(st.lists(st.integers(1, 4), max_size=4).map(tuple), st.data())
def test_a_permutation_is_at_most_one_transpose(
    shape: tuple[int, ...], data: st.DataObject
) -> None:
    perm = data.draw(st.permutations(range(len(shape))))
    index_map = IndexMap.permute(shape, perm)
    assert index_map.is_permutation_of_dims()
    steps = factor(index_map)
    assert steps is not None
    moved = [dim for dim in perm if shape[dim] > 1]
    if moved == sorted(moved):  # only dims of size 1 change place: a reshape, which moves nothing
        assert not any(isinstance(step, Transpose) for step in steps)
    else:
        assert [type(step) for step in steps] == [Transpose]
    check_against(index_map, numbered(shape).transpose(perm))


# -------------------------------------------------------------------------------------- known views


def window_partition(shape: tuple[int, int, int, int], w: int) -> IndexMap:
    b, h, wd, c = shape
    split = (b, h // w, w, wd // w, w, c)
    moved = (b, h // w, wd // w, w, w, c)
    return chain(
        IndexMap.reshape(shape, split),
        IndexMap.permute(split, (0, 1, 3, 2, 4, 5)),
        IndexMap.reshape(moved, (b * (h // w) * (wd // w), w * w, c)),
    )


def test_window_partition_and_reverse() -> None:
    partition = window_partition((2, 56, 56, 96), 7)
    assert str(partition.results[1]) == "((d0 floordiv 8) mod 8) * 7 + d1 floordiv 7"
    assert factor(partition) == (
        Expand(((2,), (8, 7), (8, 7), (96,))),
        Transpose((2, 8, 8, 7, 7, 96), (0, 1, 3, 2, 4, 5)),
        Collapse(((2, 8, 8), (7, 7), (96,))),
    )
    reverse = inverse(partition)
    assert reverse is not None
    assert factor(reverse) == (
        Expand(((2, 8, 8), (7, 7), (96,))),
        Transpose((2, 8, 7, 8, 7, 96), (0, 1, 3, 2, 4, 5)),
        Collapse(((2,), (8, 7), (8, 7), (96,))),
    )
    check_against(window_partition((1, 4, 6, 3), 2), _windows(numbered((1, 4, 6, 3)), 2))
    one = factor(window_partition((1, 56, 56, 96), 7))
    assert one is not None
    assert [type(step) for step in one] == [Expand, Transpose, Collapse]


def _windows(a: np.ndarray, w: int) -> np.ndarray:
    b, h, wd, c = a.shape
    split = a.reshape(b, h // w, w, wd // w, w, c).transpose(0, 1, 3, 2, 4, 5)
    return split.reshape(-1, w * w, c)


def test_window_reverse_then_crop_ends_in_a_slice() -> None:
    shape = (4, 49, 8)
    split = (1, 2, 2, 7, 7, 8)
    cropped = chain(
        IndexMap.reshape(shape, split),
        IndexMap.permute(split, (0, 1, 3, 2, 4, 5)),
        IndexMap.reshape((1, 2, 7, 2, 7, 8), (14, 14, 8)),
        IndexMap.slice((14, 14, 8), (0, 0, 0), (12, 10, 8), (1, 1, 1)),
    )
    a = numbered(shape).reshape(split).transpose(0, 1, 3, 2, 4, 5).reshape(14, 14, 8)
    check_against(cropped, a[:12, :10])
    steps = factor(cropped)
    assert steps is not None
    assert [type(step) for step in steps] == [Expand, Transpose, Collapse, Slice]


def test_a_slice_that_is_one_run_of_memory_may_be_reshaped() -> None:
    rows = chain(
        IndexMap.slice((6, 8), (2, 0), (2, 8), (1, 1)), IndexMap.reshape((2, 8), (2, 2, 4))
    )
    check_against(rows, numbered((6, 8))[2:4].reshape(2, 2, 4))
    steps = factor(rows)
    assert steps is not None
    assert len(steps) == 2


def test_roll_then_window_partition_has_no_steps() -> None:
    shape = (1, 14, 14, 8)
    rolled = compose(window_partition(shape, 7), IndexMap.roll(shape, (0, -3, -3, 0)))
    assert factor(rolled) is None
    check_against(rolled, _windows(np.roll(numbered(shape), (-3, -3), (1, 2)), 7))
    assert rolled.is_bijective()


@pytest.mark.parametrize("rows", [2, 3, 5, 8])
def test_shifted_rows_of_relative_attention_need_no_division(rows: int) -> None:
    """Pad, reshape, cut, reshape, cut: after Transformer-XL; each row starts one column earlier."""
    scores = (2, rows, 2 * rows)
    view = IndexMap.reshape(scores, (2, 2 * rows, rows))
    for step in (
        IndexMap.slice((2, 2 * rows, rows), (0, 1, 0), (2, 2 * rows - 1, rows), (1, 1, 1)),
        IndexMap.reshape((2, 2 * rows - 1, rows), (2, rows, 2 * rows - 1)),
        IndexMap.slice((2, rows, 2 * rows - 1), (0, 0, 0), (2, rows, rows), (1, 1, 1)),
    ):
        view = compose(step, view)
    assert view.results == (Dim(0), Dim(1), Dim(1) * -1 + Dim(2) + rows)
    expected = np.arange(prod(scores)).reshape(2, 2 * rows, rows)[:, 1:]
    expected = expected.reshape(2, rows, 2 * rows - 1)[..., :rows]
    assert np.array_equal(apply(view, np.arange(prod(scores)).reshape(scores)), expected)


def test_qkv_split_and_select() -> None:
    b, n, h, d = 2, 49, 3, 32
    split = (b, n, 3, h, d)
    moved = (3, b, h, n, d)
    key = chain(
        IndexMap.reshape((b, n, 3 * h * d), split),
        IndexMap.permute(split, (2, 0, 3, 1, 4)),
        IndexMap.slice(moved, (1, 0, 0, 0, 0), (1, b, h, n, d), (1,) * 5),
        IndexMap.reshape((1, b, h, n, d), (b, h, n, d)),
    )
    assert str(key) == "(d0, d1, d2, d3) -> (d0, d2, d1 * 32 + d3 + 96)"
    # Cut out of the expanded array: a slice that is scattered is not reshaped.
    assert factor(key) == (
        Expand(((b,), (n,), (3 * h, d))),
        Slice((0, 0, h, 0), (b, n, h, d), (1, 1, 1, 1)),
        Transpose((b, h, n, d), (0, 2, 1, 3)),
    )
    assert not key.is_bijective() and key.is_injective()


def test_interleaved_qkv_slices_the_expanded_dim() -> None:
    n, h, d = 5, 3, 4
    key = chain(
        IndexMap.reshape((n, h * 3 * d), (n, h, 3, d)),
        IndexMap.slice((n, h, 3, d), (0, 0, 1, 0), (n, h, 1, d), (1,) * 4),
        IndexMap.reshape((n, h, 1, d), (n, h, d)),
        IndexMap.permute((n, h, d), (1, 0, 2)),
    )
    assert factor(key) == (
        Expand(((n,), (h, 3 * d))),
        Slice((0, 0, d), (n, h, d), (1, 1, 1)),
        Transpose((h, n, d), (1, 0, 2)),
    )
    check_against(key, numbered((n, h, 3, d))[:, :, 1].transpose(1, 0, 2))


def test_pixel_shuffle_and_unshuffle() -> None:
    n, c, r, h, w = 2, 3, 2, 4, 5
    split = (n, c, r, r, h, w)
    shuffle = chain(
        IndexMap.reshape((n, c * r * r, h, w), split),
        IndexMap.permute(split, (0, 1, 4, 2, 5, 3)),
        IndexMap.reshape((n, c, h, r, w, r), (n, c, h * r, w * r)),
    )
    assert factor(shuffle) == (
        Expand(((n,), (c, r, r), (h,), (w,))),
        Transpose((n, c, h, r, w, r), (0, 1, 4, 2, 5, 3)),
        Collapse(((n,), (c,), (h, r), (w, r))),
    )
    back = inverse(shuffle)
    assert back is not None
    steps = factor(back)
    assert steps is not None
    assert [type(step) for step in steps] == [Expand, Transpose, Collapse]


@pytest.mark.parametrize(
    ("index_map", "steps"),
    [
        (IndexMap.identity((2, 3)), ()),
        (IndexMap.expand((3, 1), (3, 4)), (Collapse(((3, 1),)), Transpose((3, 4), (0, None)))),
        (IndexMap.expand((3,), (2, 3)), (Transpose((2, 3), (None, 0)),)),
        (
            IndexMap.tile((3,), (2,)),
            (Transpose((2, 3), (None, 0)), Collapse(((2, 3),))),
        ),
        (IndexMap.slice((9, 4), (1, 0), (4, 4), (2, 1)), (Slice((1, 0), (4, 4), (2, 1)),)),
        (
            IndexMap.slice((2, 3, 4), (0, 1, 0), (2, 1, 4), (1, 1, 1)),
            (Slice((0, 1, 0), (2, 1, 4), (1, 1, 1)),),
        ),
        (IndexMap((3,), (3, 3), (D0, D0)), None),
        (IndexMap((3, 2), (4,), (D0 + D1,)), None),
        (IndexMap.flip((3,), (0,)), None),
        (IndexMap.roll((3,), (1,)), None),
        (
            # transposes merge dims that stay together: collapse before, not a transpose of rank 3
            chain(IndexMap.permute((2, 3, 5), (2, 0, 1)), IndexMap.reshape((5, 2, 3), (5, 6))),
            (Collapse(((2, 3), (5,))), Transpose((5, 6), (1, 0))),
        ),
        (
            chain(IndexMap.reshape((6, 5), (2, 3, 5)), IndexMap.permute((2, 3, 5), (2, 0, 1))),
            (Transpose((5, 6), (1, 0)), Expand(((5,), (2, 3)))),
        ),
    ],
)
def test_smallest_steps(index_map: IndexMap, steps: tuple[Step, ...] | None) -> None:
    assert factor(index_map) == steps
    check_against(index_map, numbered(index_map.codomain)[evaluate(index_map)])


def test_predicates() -> None:
    shape = (2, 3, 1)
    assert IndexMap.reshape(shape, shape).is_identity()
    assert IndexMap(shape, shape, (D0 % 2, D1 + D2 * 5, D2)).is_identity()
    assert not IndexMap.flip(shape, (0,)).is_identity()
    assert compose(IndexMap.flip((2,), (0,)), IndexMap.roll((2,), (1,))).is_identity()
    assert not IndexMap.roll((4,), (1,)).is_identity()
    assert IndexMap.reshape(shape, (2, 1, 3)).is_permutation_of_dims()
    assert not IndexMap.reshape((2, 2), (4, 1)).is_permutation_of_dims()
    assert not IndexMap((3, 3), (3, 3), (D0, D0)).is_permutation_of_dims()
    assert IndexMap.flip(shape, (1,)).is_bijective()
    assert not IndexMap.expand((3, 1), (3, 4)).is_injective()
    assert IndexMap.roll((4, 5), (1, 2)).is_bijective()
    big = (1 << 10, 1 << 10)
    assert IndexMap.permute(big, (1, 0)).is_bijective()
    assert not IndexMap.roll(big, (1, 2)).is_bijective()  # the documented limit of the decision


def test_inverse_of_flips_and_unaligned_reshapes() -> None:
    flip = IndexMap.flip((3, 4), (0,))
    assert inverse(flip) == flip
    reshape = IndexMap.reshape((4, 6), (6, 4))
    assert inverse(reshape) == IndexMap.reshape((6, 4), (4, 6))
    unaligned = IndexMap.reshape((2, 10, 3), (5, 6, 2))
    assert factor(unaligned) == (Collapse(((2, 10, 3),)), Expand(((5, 6, 2),)))
    assert inverse(IndexMap.roll((4,), (1,))) is None
    assert inverse(IndexMap.slice((4,), (0,), (2,), (1,))) is None


def test_shifted_windows_cancel() -> None:
    """Swin's shift, partition, reverse and shift back: eight views that read every element in
    place.
    """
    shape = (1, 56, 56, 96)
    partition = window_partition(shape, 7)
    reverse = inverse(partition)
    assert reverse is not None
    there, back = IndexMap.roll(shape, (0, -3, -3, 0)), IndexMap.roll(shape, (0, 3, 3, 0))
    assert chain(there, partition, reverse, back) == IndexMap.identity(shape)


def test_a_chain_of_ten_views_of_rank_six_is_cheap() -> None:
    shape, flat, perm = (2, 4, 8, 4, 2, 4), (8, 32, 8), (0, 3, 1, 4, 2, 5)
    maps: list[IndexMap] = []
    while len(maps) < 10:
        current = maps[-1].domain if maps else shape
        if len(maps) % 3 == 0:
            maps.append(IndexMap.permute(current, perm))
        else:
            maps.append(IndexMap.reshape(current, flat if len(current) == 6 else shape))
    best = float("inf")
    for _ in range(5):
        start = time.process_time()
        chain(*maps)
        best = min(best, time.process_time() - start)
    assert best < 0.05, f"composing ten views took {best * 1e3:.1f} ms; it takes about 4"
