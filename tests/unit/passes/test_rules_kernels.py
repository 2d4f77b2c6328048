"""Tiles of contractions: they divide the loops, keep the target's limits, and are there where they
pay.
"""

from dataclasses import replace
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartmem.passes.rules.kernels import (
    Contraction,
    KernelConfig,
    KernelLimits,
    accepts,
    largest_divisor,
    tile_contraction,
)
from smartmem.passes.target import known_targets

GPU = KernelLimits(
    threads=128,
    least_threads=32,
    rows=7,
    columns=4,
    depth=16,
    shared_bytes=49152,
    workgroups=256,
    plain=False,
)
SOFTWARE = replace(GPU, threads=64, least_threads=8, depth=4, shared_bytes=0, plain=True)


def matmul(m: int, n: int, k: int) -> Contraction:
    return Contraction((m, n, k), (0, 2), (2, 1), (0, 1))


# Swin's projections and attention: heads split off in the store, 49 rows and keys in a window.
SPLIT_HEADS = Contraction((64, 3, 49, 32, 96), (0, 2, 4), (4, 1, 3), (0, 1, 2, 3))
SCORES = Contraction((192, 49, 49, 32), (0, 1, 3), (0, 2, 3), (0, 1, 2))
VALUES = Contraction((64, 49, 3, 32, 49), (0, 2, 1, 4), (0, 2, 4, 3), (0, 1, 2, 3))
WINDOWS = Contraction((8, 7, 8, 7, 96, 96), (0, 2, 1, 3, 5), (5, 4), (0, 1, 2, 3, 4))


def check(op: Contraction, config: KernelConfig, limits: KernelLimits) -> None:
    """What every configuration must keep."""
    promoted = config.pipeline == "MatmulPromoteVectorize"
    for loop, extent in enumerate(op.extents):
        tiles = config.workgroup[loop], config.thread[loop], config.reduction[loop]
        for tile in tiles:
            assert tile == 0 or extent % tile == 0
        if loop in op.result:
            assert tiles[0] % tiles[1] == 0 and tiles[2] == 0
        else:
            assert tiles[1] == 0 or not promoted
            assert tiles[2] > 0
    assert prod(config.threads) <= limits.threads
    # IREE deals the last three loops of the result to x, y, z; no other has more than one thread.
    dealt = {d: config.workgroup[d] // config.thread[d] for d in op.result if config.thread[d] != 0}
    inner = [dealt.pop(d) for d in reversed(op.result[-3:])]
    assert tuple(inner) == config.threads[: len(inner)]
    assert set(dealt.values()) <= {1}


@pytest.mark.parametrize("limits", [GPU, SOFTWARE], ids=["gpu", "software"])
@pytest.mark.parametrize(
    "op",
    [SPLIT_HEADS, SCORES, VALUES, WINDOWS],
    ids=["split heads", "scores", "values", "windows"],
)
def test_permuted_contractions_are_tiled(op: Contraction, limits: KernelLimits) -> None:
    config = tile_contraction(op, limits)
    assert config is not None and config.pipeline == "BaseVectorize"
    check(op, config, limits)
    assert prod(config.threads) >= limits.least_threads // 4


def test_columns_are_read_in_vec4_and_several_rows_kept() -> None:
    config = tile_contraction(SPLIT_HEADS, GPU)
    assert config is not None
    assert config.thread == (1, 1, 7, 4, 0)
    assert config.reduction == (0, 0, 0, 0, 16)


def test_columns_not_divisible_by_four_read_the_reduction_in_vectors() -> None:
    config = tile_contraction(SCORES, GPU)
    assert config is not None
    assert config.thread[2] == 1
    assert config.reduction[3] % 4 == 0


def test_a_reduction_without_vectors_keeps_one_row() -> None:
    config = tile_contraction(VALUES, GPU)
    assert config is not None
    assert config.thread == (1, 1, 1, 4, 0)


@pytest.mark.parametrize(
    ("size", "tile"),
    [
        ((196, 384, 1536), (4, 64, 32)),
        ((3136, 96, 384), (32, 32, 32)),
        ((12544, 16, 32), (32, 16, 32)),
    ],
)
def test_plain_matmuls_are_promoted_where_their_sizes_allow(
    size: tuple[int, int, int], tile: tuple[int, int, int]
) -> None:
    op = matmul(*size)
    config = tile_contraction(op, GPU)
    assert config is not None and config.pipeline == "MatmulPromoteVectorize"
    assert config.workgroup == tile
    check(op, config, GPU)


@pytest.mark.parametrize("limits", [GPU, SOFTWARE], ids=["gpu", "software"])
@pytest.mark.parametrize(
    "op",
    [
        Contraction((1000, 768), (1,), (1, 0), (0,)),
        Contraction((8, 16, 4), (0, 1, 2), (0, 1, 2), (0, 1)),
        Contraction((1, 1000, 768), (0, 2), (2, 1), (0, 1)),
        Contraction((5,), (0,), (0,), ()),
    ],
    ids=["matrix times vector", "columns in both", "one row", "dot product"],
)
def test_products_without_rows_are_left_to_iree(op: Contraction, limits: KernelLimits) -> None:
    assert tile_contraction(op, limits) is None


def test_prime_sizes_are_left_to_iree() -> None:
    scores = Contraction((3, 197, 197, 64), (0, 1, 3), (0, 2, 3), (0, 1, 2))
    assert tile_contraction(scores, replace(GPU, threads=64)) is None


def test_plain_matmuls_that_cannot_be_promoted_are_left_where_the_target_says_so() -> None:
    assert tile_contraction(matmul(49, 768, 3072), GPU) is None
    assert tile_contraction(matmul(49, 768, 3072), replace(GPU, plain=True)) is not None


def test_sums_over_several_loops_are_never_left_where_there_are_tiles() -> None:
    patches = Contraction((16, 16, 24, 3, 4, 4), (3, 0, 4, 1, 5), (4, 5, 3, 2), (0, 1, 2))
    config = tile_contraction(patches, GPU)
    assert config is not None and config.pipeline == "BaseVectorize"


def test_sixteen_bit_floats_are_not_promoted() -> None:
    config = tile_contraction(
        replace(matmul(196, 384, 1536), element_bits=16), replace(GPU, plain=True)
    )
    assert config is not None and config.pipeline == "BaseVectorize"


LIMITS = [t.kernels for t in known_targets().values() if t.kernels is not None]


@given(
    sizes=st.lists(st.integers(1, 40), min_size=3, max_size=6),
    data=st.data(),
    limits=st.sampled_from(LIMITS),
)
def test_every_configuration_keeps_the_limits(
    sizes: list[int], data: st.DataObject, limits: KernelLimits
) -> None:
    loops = range(len(sizes))
    summed = data.draw(st.sets(st.sampled_from(loops), min_size=1, max_size=len(sizes) - 2))
    parallel = [d for d in loops if d not in summed]
    sides = [data.draw(st.sampled_from(("lhs", "rhs", "both"))) for _ in parallel]
    orders = {
        side: data.draw(
            st.permutations(
                [*(d for d, s in zip(parallel, sides, strict=True) if s in (side, "both")), *summed]
            )
        )
        for side in ("lhs", "rhs")
    }
    result = data.draw(st.permutations(parallel))
    op = Contraction(tuple(sizes), tuple(orders["lhs"]), tuple(orders["rhs"]), tuple(result))
    config = tile_contraction(op, limits)
    if config is not None:
        check(op, config, limits)


@given(st.integers(1, 500), st.integers(1, 64))
def test_largest_divisor(extent: int, most: int) -> None:
    found = largest_divisor(extent, most)
    assert found == max(d for d in range(1, most + 1) if extent % d == 0)


def test_tiles_that_fit_a_threads_registers() -> None:
    assert replace(GPU, registers=255, rows=7, columns=4).tiles == 9
    assert replace(GPU, registers=64, rows=4, columns=4).tiles == 4
    # Not known: as many as ever.
    assert replace(GPU, registers=0).tiles == 16


AVOIDED = (
    Contraction((64, 32, 96), (0, 2), (2, 1), (0, 1)),
    Contraction((2, 64, 16, 96), (0, 1, 3), (3, 2), (0, 1, 2)),
    SPLIT_HEADS,
    SCORES,
    VALUES,
    WINDOWS,
)


@pytest.mark.parametrize("op", AVOIDED)
@pytest.mark.parametrize("limits", [GPU, SOFTWARE], ids=["gpu", "software"])
def test_an_avoided_workgroup_is_never_chosen(op: Contraction, limits: KernelLimits) -> None:
    """Whatever is chosen first, second and third is avoided in turn."""
    tried: list[tuple[int, int, int]] = []
    for _ in range(3):
        narrowed = replace(limits, plain=True, avoided_workgroups=tuple(tried))
        config = tile_contraction(op, narrowed)
        assert config is not None and config.threads not in tried
        check(op, config, narrowed)
        tried.append(config.threads)


def test_an_avoided_workgroup_is_not_taken_from_elsewhere() -> None:
    op = matmul(64, 64, 64)
    config = tile_contraction(op, GPU)
    assert config is not None and accepts(op, config, GPU)
    assert not accepts(op, config, replace(GPU, avoided_workgroups=(config.threads,)))
