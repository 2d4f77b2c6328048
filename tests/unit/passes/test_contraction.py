"""Merging loop dims never changes what a contraction computes."""

from collections.abc import Sequence
from math import prod

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smartmem.passes.analysis.products import merge_groups

PROPERTY = settings(derandomize=True, max_examples=300, deadline=None)

Map = tuple[int, ...]
Case = tuple[list[Map], list[int]]


@st.composite
def contractions(draw: st.DrawFn) -> Case:
    """Maps of two operands and a result, and the loop extents. Runs of dims often stay together."""
    rank = draw(st.integers(1, 6))
    cuts = sorted(draw(st.sets(st.integers(1, rank - 1)))) if rank > 1 else []
    runs = [list(range(a, b)) for a, b in zip([0, *cuts], [*cuts, rank], strict=True)]
    homes = [draw(st.sampled_from(["lr", "lro", "lo", "ro", "l", "r"])) for _ in runs]
    maps: list[Map] = []
    for role in "lro":
        mine = [run for run, home in zip(runs, homes, strict=True) if role in home]
        order = draw(st.permutations(mine))
        maps.append(tuple(d for run in order for d in run))
    return maps, [draw(st.integers(1, 3)) for _ in range(rank)]


def _merged(dims: Map, groups: Sequence[Sequence[int]]) -> list[int]:
    leaders = {group[0]: index for index, group in enumerate(groups)}
    return [leaders[d] for d in dims if d in leaders]


@PROPERTY
@given(contractions(), st.integers(0, 2**32 - 1))
def test_merging_keeps_the_einsum(case: Case, seed: int) -> None:
    maps, extents = case
    groups = merge_groups(maps, len(extents))
    random = np.random.default_rng(seed)
    operands = [random.integers(-4, 5, [extents[d] for d in m]) for m in maps[:2]]
    expected = np.einsum(operands[0], maps[0], operands[1], maps[1], maps[2])

    merged = [_merged(m, groups) for m in maps]
    sizes = [prod(extents[d] for d in group) for group in groups]
    reshaped = [
        operand.reshape([sizes[g] for g in m]) for operand, m in zip(operands, merged, strict=False)
    ]
    result = np.einsum(reshaped[0], merged[0], reshaped[1], merged[1], merged[2])
    assert np.array_equal(result.reshape(expected.shape), expected)


@PROPERTY
@given(contractions())
def test_groups_are_as_long_as_can_be(case: Case) -> None:
    """Every dim once; two groups that are neighbours wherever either occurs would be one."""
    maps, extents = case
    groups = merge_groups(maps, len(extents))
    assert sorted(d for group in groups for d in group) == list(range(len(extents)))
    merged = [_merged(m, groups) for m in maps]
    for a in range(len(groups)):
        for b in range(len(groups)):
            holding = [m for m in merged if a in m or b in m]
            together = all(a in m and b in m and m.index(b) == m.index(a) + 1 for m in holding)
            assert not together


def test_parallel_dims_come_first() -> None:
    maps = [(0, 1, 4), (3, 4), (0, 1, 3)]
    assert merge_groups([*maps[:1], (3, 2, 4), (0, 1, 3)], 5) == [[0, 1], [3], [4], [2]]


def test_a_dim_without_a_map() -> None:
    with pytest.raises(ValueError, match="occurs in no map"):
        merge_groups([(0,), (0,), (0,)], 2)
