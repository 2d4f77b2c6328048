"""Workgroups dealt otherwise: no avoided shape, tiles that divide as before, no more threads."""

from math import prod

from hypothesis import given
from hypothesis import strategies as st

from smartmem.passes.rules.workgroups import Dealt, redeal, shape_of
from smartmem.passes.target import known_targets

ADRENO = ((8, 8, 1), (4, 16, 1))


@st.composite
def loops(draw: st.DrawFn) -> tuple[Dealt, ...]:
    """Up to three loops, tiled with and without a rest."""
    sizes = st.sampled_from((1, 2, 3, 4, 7, 8, 16))
    found: list[Dealt] = []
    for _ in range(draw(st.integers(1, 3))):
        held, threads = draw(sizes), draw(sizes)
        found.append(Dealt(held * threads * draw(sizes) + draw(st.integers(0, 1)), held, threads))
    return tuple(found)


def divides(loop: Dealt) -> bool:
    return loop.extent % (loop.held * loop.threads) == 0


@given(loops())
def test_what_is_dealt_otherwise_keeps_what_must_stay(given_loops: tuple[Dealt, ...]) -> None:
    avoided = {shape_of(given_loops)}
    found = redeal(given_loops, avoided)
    if found is None:
        assert all(loop.threads == 1 for loop in given_loops)
        return
    assert shape_of(found) not in avoided
    assert prod(loop.threads for loop in found) <= prod(loop.threads for loop in given_loops)
    assert found[0].held == given_loops[0].held
    for before, after in zip(given_loops, found, strict=True):
        assert after.extent == before.extent
        if divides(before):
            assert divides(after)
        else:
            assert after.held == before.held and before.threads % after.threads == 0


def test_threads_are_kept_before_what_they_hold() -> None:
    """64 columns could be dealt to 16 threads; 16 columns only to 4, so rows are held by more."""
    wide = redeal((Dealt(64, 4, 8), Dealt(8, 1, 8)), ADRENO)
    assert wide == (Dealt(64, 4, 16), Dealt(8, 1, 4))
    narrow = redeal((Dealt(16, 4, 4), Dealt(64, 4, 16)), ADRENO)
    assert narrow == (Dealt(16, 4, 2), Dealt(64, 2, 32))


def test_a_third_loop_takes_threads() -> None:
    found = redeal((Dealt(96, 4, 8), Dealt(8, 1, 8), Dealt(8, 4, 1)), ADRENO)
    assert found is not None and shape_of(found) == (8, 4, 2)


def test_fewer_threads_where_no_other_shape_has_as_many() -> None:
    found = redeal((Dealt(8, 1, 8), Dealt(8, 1, 8)), ADRENO)
    assert found is not None and shape_of(found) == (8, 4, 1)


def test_a_tile_that_does_not_divide_loses_threads_only() -> None:
    """With a rest, and larger than its loop."""
    assert redeal((Dealt(33, 4, 8), Dealt(9, 1, 8)), ADRENO) == (Dealt(33, 4, 8), Dealt(9, 1, 4))
    assert redeal((Dealt(4, 1, 8), Dealt(4, 1, 8)), ADRENO) == (Dealt(4, 1, 8), Dealt(4, 1, 4))


def test_nothing_where_there_is_one_thread() -> None:
    assert redeal((Dealt(8, 4, 1), Dealt(8, 1, 1)), {(1, 1, 1)}) is None


def test_which_targets_avoid_shapes() -> None:
    found = {name: target.avoided_workgroups for name, target in known_targets().items()}
    assert found["adreno"] == found["generic"] == ADRENO
    assert found["mali"] == found["cpu"] == ()
