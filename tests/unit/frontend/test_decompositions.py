"""Each decomposition, run in PyTorch, gives what the op gives that it replaces."""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import product
from typing import Any

import pytest
import torch
from torch.utils._pytree import tree_leaves

from smartmem.frontend.decompositions import FAMILIES, table
from smartmem.frontend.export import KEPT_WHOLE, decomposition_table

aten = torch.ops.aten
Call = tuple[Any, tuple[Any, ...]]


def rand(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(3))


def _borders() -> Iterator[Call]:
    for mode, pad in product(
        ("reflect", "replicate", "circular"), ((1, 2, 2, 1), (0, 0, 3, 0), (-1, 2, 1, -2))
    ):
        yield aten.pad.default, (rand(2, 3, 4, 5), pad, mode)
    yield aten.pad.default, (rand(3, 4), (1, -1), "constant", 2.0)
    for name, spatial in product(("reflection", "replication"), (1, 2, 3)):
        op = getattr(aten, f"{name}_pad{spatial}d").default
        yield op, (rand(2, 3, *(5, 4, 6)[:spatial]), (2, 1) * spatial)


def _structure() -> Iterator[Call]:
    for kernel, dilation, padding, stride in (
        ((2, 3), (1, 1), (0, 0), (1, 1)),
        ((2, 2), (1, 1), (0, 0), (2, 2)),
        ((2, 2), (1, 1), (1, 0), (2, 2)),
        ((3, 2), (2, 1), (2, 1), (1, 3)),
    ):
        windows = (kernel, dilation, padding, stride)
        columns = aten.im2col(rand(2, 3, 7, 6), *windows)
        yield aten.im2col.default, (rand(2, 3, 7, 6), *windows)
        yield aten.col2im.default, (columns, (7, 6), *windows)
        yield aten.col2im.default, (columns[0], (7, 6), *windows)
    yield aten.narrow_copy.default, (rand(3, 4), 1, 1, 2)
    yield aten.split_copy.Tensor, (rand(5, 2), 2)
    yield aten.unbind_copy.int, (rand(3, 4), 1)
    yield aten.copy.default, (rand(2, 3), torch.arange(3))
    yield aten.slice_scatter.default, (rand(4, 5), rand(4, 2), -1, 1, 3)
    yield aten.slice_scatter.default, (rand(4, 5), rand(4, 5), 1)
    yield aten.slice_scatter.default, (rand(6, 5), rand(2, 5), 0, 1, -1, 3)
    for offset in (-2, 0, 1):
        diagonal = aten.diagonal(rand(4, 5, 2), offset, 1, 0)
        yield aten.diagonal_scatter.default, (rand(4, 5, 2), diagonal + 1, offset, 1, 0)
    yield aten.as_strided_scatter.default, (rand(4, 6), rand(2, 3), (2, 3), (7, 2), 3)


def _contraction() -> Iterator[Call]:
    yield aten.bilinear.default, (rand(2, 4), rand(2, 5), rand(3, 4, 5), rand(3))
    for p in (0.0, 1.0, 2.0, 3.0, torch.inf):
        yield aten._cdist_forward.default, (rand(2, 3, 4), rand(2, 5, 4) + 1, p, None)
        yield aten._pdist_forward.default, (rand(4, 3), p)
    yield aten.cdist.default, (rand(3, 0), rand(2, 0), torch.inf)


def _convolution() -> Iterator[Call]:
    x, weights = rand(2, 4, 5), {k: rand(4, 3, k) for k in (1, 2, 3, 4)}
    for (kernel, weight), stride, dilation, groups in product(
        weights.items(), (1, 2, 3), (1, 2), (1, 2)
    ):
        bias = rand(3 * groups) if stride == 2 else None
        for padding, extra in ((0, 0), (1, 0), (0, 1), (2, 1)):
            size = 4 * stride - 2 * padding + dilation * (kernel - 1) + extra
            if extra < max(stride, dilation) and size >= 0:
                numbers = ([stride], [padding], [dilation])
                rest = (True, [extra], groups)
                yield aten.convolution.default, (x, weight, bias, *numbers, *rest)
    flat, deep = rand(2, 4, 5, 4), rand(1, 4, 3, 2, 4)
    for groups in (1, 2):
        numbers = ([2, 3], [1, 0], [2, 1], True, [0, 2], groups)
        yield aten.convolution.default, (flat, rand(4, 3, 3, 2), None, *numbers)
        numbers = ([2, 1, 2], [0, 1, 1], [1, 2, 1], True, [1, 0, 0], groups)
        yield aten.convolution.default, (deep, rand(4, 3, 2, 3, 3), None, *numbers)


def _resample() -> Iterator[Call]:
    image, line, block = rand(2, 3, 5, 6), rand(2, 3, 7), rand(1, 2, 3, 4, 5)
    for (x, spatial), nearest in product(
        ((line, 1), (image, 2), (block, 3)), ("upsample_nearest", "_upsample_nearest_exact")
    ):
        op = getattr(aten, f"{nearest}{spatial}d")
        yield op.vec, (x, None, [1.7] * spatial)
        yield op.vec, (x, None, [2.0] * spatial)
        yield op.default, (x, [4] * spatial)
    for (x, name), aligned in product(
        (
            (line, "upsample_linear1d"),
            (image, "upsample_bilinear2d"),
            (image, "upsample_bicubic2d"),
            (block, "upsample_trilinear3d"),
            (image, "_upsample_bilinear2d_aa"),
            (image, "_upsample_bicubic2d_aa"),
        ),
        (False, True),
    ):
        op, spatial = getattr(aten, name), x.dim() - 2
        yield op.vec, (x, None, aligned, [1.7] * spatial)
        yield op.vec, (x, None, aligned, [0.6] * spatial)
        yield op.default, (x, [3, 11, 5][:spatial], aligned)


def _grid_sample() -> Iterator[Call]:
    for mode, padding, aligned in product((0, 1, 2), (0, 1, 2), (False, True)):
        options = (mode, padding, aligned)
        yield aten.grid_sampler_2d.default, (rand(2, 3, 5, 6), rand(2, 4, 7, 2), *options)
        if mode < 2:
            yield aten.grid_sampler_3d.default, (rand(1, 2, 3, 1, 5), rand(1, 2, 4, 3, 3), *options)


def _attention() -> Iterator[Call]:
    x, packed = rand(2, 5, 8), (rand(24, 8), rand(24), rand(8, 8), rand(8))
    norms, linear = (rand(8), rand(8)) * 2, (rand(16, 8), rand(16), rand(8, 16), rand(8))
    shapes = ((5, 5), (2, 5), (2, 2, 5, 5))
    masks = [(None, None), *((rand(*shape) > 0.7, kind) for kind, shape in enumerate(shapes))]
    for mask, kind in masks:
        for shown, averaged in ((False, True), (True, False), (True, True)):
            options = (mask, shown, averaged, kind)
            yield aten._native_multi_head_attention.default, (x, x, x, 8, 2, *packed, *options)
        for gelu, before in product((False, True), repeat=2):
            layer = (x, 8, 2, *packed, gelu, before, 1e-5, *norms, *linear, mask, kind)
            yield aten._transformer_encoder_layer_fwd.default, layer


def _dropout() -> Iterator[Call]:
    flat, deep = rand(3, 4), rand(2, 3, 4, 5)
    for p, train in product((0.0, 0.3, 1.0), (False, True)):
        yield aten.native_dropout.default, (flat, p, train)
    # Numbers are drawn in the order of memory.
    for x in (flat.T, deep.mT[::2], flat[:1].expand(5, 4), flat.expand(2, 3, 4)):
        yield aten.native_dropout.default, (x, 0.5, True)
    query, key = rand(2, 4, 5, 8), rand(2, 2, 6, 8)
    attention = aten.scaled_dot_product_attention.default
    for mask in (None, rand(5, 6), rand(5, 6) > -1):
        yield partial(attention, enable_gqa=True), (query, key, key, mask, 0.4)
    yield partial(attention, scale=0.5), (query, query, query, None, 0.4, True)


def _indexing() -> Iterator[Call]:
    for norm in (1.0, 2.0, torch.inf):
        indices = torch.tensor([[1, 3], [3, 0]])
        yield aten.embedding_renorm.default, (rand(5, 4) * 2, indices, 1.5, norm)

    table, indices = rand(5, 4), torch.tensor([1, 3, 3, 0, 2, 1])
    offsets, weights = torch.tensor([0, 2, 2, 5]), rand(6)
    for mode, closed in product((0, 1, 2), (False, True)):
        for scale, padding in ((weights if mode == 0 else None, -1), (None, 3)):
            last = torch.tensor([6] if closed else [], dtype=torch.int64)
            options = (False, mode, False, scale, closed, padding)
            for op in FIRST_ONLY:
                yield op, (table, indices, torch.cat([offsets, last]), *options)


def _elementwise() -> Iterator[Call]:
    left = torch.tensor([12, -18, 0, 0, 1836311903, 7])
    right = torch.tensor([[18, 12, 5, 0, 1134903170, 7], [1, 4, 4, 4, 4, -21]])
    yield aten.gcd.default, (left, right)
    yield aten.gcd.default, (left[:2].to(torch.int8), right[0, :2].to(torch.int32))
    yield aten.lcm.default, (left[:4], right[:, :4])


def _spectrum() -> Iterator[Call]:
    for shape in ((1, 1), (2, 5), (4, 4), (2, 3, 5, 7), (16, 3), (12, 12)):
        yield aten.linalg_svdvals.default, (rand(*shape),)
    same = rand(1, 4).expand(3, 4)
    yield aten.linalg_svdvals.default, (torch.cat([same, rand(2, 4) * 1e-3]),)


def _normalization() -> Iterator[Call]:
    x, vector, variance = rand(2, 3, 4), rand(3), rand(3).abs() + 0.5
    statistics = (vector, variance)
    for affine in ((vector, vector + 1), (None, None)):
        given = (x, *affine, *statistics, True, 0.1, 1e-5)
        yield aten._native_batch_norm_legit_functional.default, given
    given = (x, vector, vector + 1, *statistics, 0.1, 1e-5)
    yield aten._batch_norm_with_update_functional.default, given


# Their other results are for gradients.
FIRST_ONLY = (aten._embedding_bag.default, aten._embedding_bag_forward_only.default)

CALLS = {
    "attention": _attention,
    "contraction": _contraction,
    "convolution": _convolution,
    "dropout": _dropout,
    "elementwise": _elementwise,
    "grid_sample": _grid_sample,
    "indexing": _indexing,
    "normalization": _normalization,
    "resample": _resample,
    "spectrum": _spectrum,
    "structure": lambda: [*_borders(), *_structure()],
}


@pytest.mark.parametrize("family", FAMILIES)
def test_gives_what_the_op_gives(family: str) -> None:
    wrong: list[str] = []
    calls: Callable[[], Any] = CALLS[family]
    ours = table(training=True)
    for op, args in calls():
        bare, options = (op.func, op.keywords) if isinstance(op, partial) else (op, {})
        torch.manual_seed(0)
        wanted = tree_leaves(op(*args))
        torch.manual_seed(0)
        given = tree_leaves(ours[bare](*args, **options))
        if bare in FIRST_ONLY:
            wanted, given = wanted[:1], given[:1]
        assert len(wanted) == len(given)
        for one, other in zip(wanted, given, strict=True):
            if one is None or other is None:
                assert one is other
                continue
            same = one.shape == other.shape and one.dtype == other.dtype
            if not same or not torch.allclose(one, other, rtol=1e-4, atol=1e-5):
                shapes = [a.shape if isinstance(a, torch.Tensor) else a for a in args]
                wrong.append(f"{op}{shapes}: {tuple(other.shape)}")
    assert not wrong, "\n".join(wrong)


def test_every_decomposition_is_tried() -> None:
    tried = {getattr(op, "func", op) for calls in CALLS.values() for op, _ in calls()}
    assert set(table(training=True)) - tried == set()


def test_ours_come_first() -> None:
    """What we decompose is not kept whole, and our function stands in the table."""
    ours = table()
    assert not {op._schema.name.split("::")[1] for op in ours} & KEPT_WHOLE
    assert all(decomposition_table()[op] is function for op, function in ours.items())


def test_ordinary_convolutions_stay_whole() -> None:
    args = (rand(1, 2, 4, 4), rand(3, 2, 3, 3), None, [1], [0], [1], False, [0], 1)
    assert table()[aten.convolution.default](*args) is NotImplemented
