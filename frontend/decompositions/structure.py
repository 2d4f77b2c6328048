"""Borders of every kind, windows written out and added up, and parts of tensors replaced."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from smartmem.frontend.decompositions.registry import decomposes


def padded(x: Tensor, dim: int, low: int, high: int) -> Tensor:
    """``x`` with zeros at both ends of ``dim``; negative amounts crop."""
    if low == high == 0:
        return x
    return F.pad(x, [0, 0] * (x.dim() - 1 - dim % x.dim()) + [low, high])


def dilated(x: Tensor, dim: int, step: int) -> Tensor:
    """``x`` with its elements along ``dim`` ``step`` apart, zeros between."""
    if step == 1:
        return x
    size = x.shape[dim]
    apart = padded(x.unsqueeze(dim + 1), dim + 1, 0, step - 1)
    return apart.flatten(dim, dim + 1).narrow(dim, 0, (size - 1) * step + 1)


# ------------------------------------------------------------------------------------------ borders


def _reflected(x: Tensor, dim: int, low: int, high: int) -> Tensor:
    """The neighbours of the edge backwards, without the edge itself."""
    size = x.shape[dim]
    before = x.narrow(dim, 1, low).flip(dim)
    after = x.narrow(dim, size - 1 - high, high).flip(dim)
    return _joined([before, x, after], dim)


def _replicated(x: Tensor, dim: int, low: int, high: int) -> Tensor:
    """The edge repeated."""
    shapes = [[n if i == dim else s for i, s in enumerate(x.shape)] for n in (low, high)]
    before = x.narrow(dim, 0, 1).expand(shapes[0])
    after = x.narrow(dim, x.shape[dim] - 1, 1).expand(shapes[1])
    return _joined([before, x, after], dim)


def _wrapped(x: Tensor, dim: int, low: int, high: int) -> Tensor:
    """What lies at the other end."""
    before = x.narrow(dim, x.shape[dim] - low, low)
    return _joined([before, x, x.narrow(dim, 0, high)], dim)


def _joined(parts: Sequence[Tensor], dim: int) -> Tensor:
    filled = [p for p in parts if p.shape[dim]]
    return torch.cat(filled, dim) if len(filled) > 1 else filled[0]


_BORDERS: dict[str, Callable[[Tensor, int, int, int], Tensor]] = {
    "reflect": _reflected,
    "replicate": _replicated,
    "circular": _wrapped,
}


@decomposes("pad.default")
def pad(
    x: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None
) -> Tensor:
    """A border of any kind, one dim after the other, from the last one on."""
    if mode == "constant":
        return torch.constant_pad_nd(x, list(pad), value or 0.0)
    for i in range(len(pad) // 2):
        dim, (low, high) = x.dim() - 1 - i, pad[2 * i : 2 * i + 2]
        crop = min(low, 0), min(high, 0)
        grow = max(low, 0), max(high, 0)
        # A circle closes after the crop; the other borders look beyond it.
        if mode == "circular":
            x = _wrapped(padded(x, dim, *crop), dim, *grow)
        else:
            x = padded(_BORDERS[mode](x, dim, *grow), dim, *crop)
    return x


@decomposes("reflection_pad1d.default", "reflection_pad2d.default", "reflection_pad3d.default")
def reflection_pad(x: Tensor, padding: Sequence[int]) -> Tensor:
    """A border of reflected neighbours."""
    return pad(x, padding, "reflect")


@decomposes("replication_pad1d.default", "replication_pad2d.default", "replication_pad3d.default")
def replication_pad(x: Tensor, padding: Sequence[int]) -> Tensor:
    """A border of repeated edges."""
    return pad(x, padding, "replicate")


# ------------------------------------------------------------------------------------------ windows


@decomposes("im2col.default")
def im2col(
    x: Tensor,
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    """[*, C, H, W] to [*, C kh kw, windows]."""
    row, column = x.dim() - 2, x.dim() - 1
    for dim, amount in zip((row, column), padding, strict=True):
        x = padded(x, dim, amount, amount)
    for dim, k, d, s in zip((row, column), kernel_size, dilation, stride, strict=True):
        x = x.unfold(dim, d * (k - 1) + 1, s)[..., ::d]
    windows = x.movedim((-2, -1), (row, column))
    return windows.flatten(-2).flatten(row - 1, column)


@decomposes("col2im.default")
def col2im(
    x: Tensor,
    output_size: Sequence[int],
    kernel_size: Sequence[int],
    dilation: Sequence[int],
    padding: Sequence[int],
    stride: Sequence[int],
) -> Tensor:
    """[*, C kh kw, windows] to [*, C, H, W]: windows put back in place, what overlaps added up."""
    counts = [
        (n + 2 * p - d * (k - 1) - 1) // s + 1
        for n, k, d, p, s in zip(output_size, kernel_size, dilation, padding, stride, strict=True)
    ]
    x = x.unflatten(-1, counts).unflatten(-3, (-1, *kernel_size))
    # Each turn takes the first kernel dim away and puts the last position dim where it was.
    for offset_dim, dim, i in ((-4, -2, 0), (-3, -1, 1)):
        x = _overlapped(x, offset_dim, dim, output_size[i], dilation[i], padding[i], stride[i])
    return x


def _overlapped(
    x: Tensor, offset_dim: int, dim: int, size: int, dilation: int, padding: int, stride: int
) -> Tensor:
    """Sum over the window offsets ``offset_dim``, each moved to its place along ``dim``."""
    offsets, windows = x.shape[offset_dim], x.shape[dim]
    if offsets == stride and (dilation == 1 or offsets == 1):
        at = dim % x.dim()
        side_by_side = x.movedim(offset_dim, at).flatten(at - 1, at)
        return padded(side_by_side, dim, -padding, size + padding - offsets * windows)
    total: Tensor | None = None
    for k in range(offsets):
        part = x.select(offset_dim, k)
        part = dilated(part, dim % part.dim(), stride)
        low = k * dilation - padding
        part = padded(part, dim, low, size - low - part.shape[dim])
        total = part if total is None else total + part
    assert total is not None
    return total


# ------------------------------------------------------------------------------ copies of views


@decomposes("narrow_copy.default")
def narrow_copy(x: Tensor, dim: int, start: int, length: int) -> Tensor:
    """A range of ``dim``."""
    return x.narrow(dim, start, length)


@decomposes("split_copy.Tensor")
def split_copy(x: Tensor, size: int, dim: int = 0) -> tuple[Tensor, ...]:
    """Consecutive ranges of ``dim``."""
    return x.split(size, dim)


@decomposes("unbind_copy.int")
def unbind_copy(x: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The positions of ``dim``, which disappears."""
    return x.unbind(dim)


# ----------------------------------------------------------------------------------- parts replaced


@decomposes("copy.default")
def copy(x: Tensor, source: Tensor, non_blocking: bool = False) -> Tensor:
    """``source`` in the shape and type of ``x``."""
    return source.to(x.dtype).expand(x.shape)


@decomposes("slice_scatter.default")
def slice_scatter(
    x: Tensor,
    source: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """``x`` with a strided range of ``dim`` replaced."""
    dim %= x.dim()
    size, count = x.shape[dim], source.shape[dim]
    first = range(size)[slice(start, end, step)].start
    source = source.to(x.dtype)
    if step == 1:
        last = first + count
        return _joined([x.narrow(dim, 0, first), source, x.narrow(dim, last, size - last)], dim)
    apart = dilated(source, dim, step)
    places = torch.arange(size, device=x.device) - first
    replaced = (places >= 0) & (places < count * step) & (places % step == 0)
    apart = padded(apart, dim, first, size - first - apart.shape[dim])
    return torch.where(replaced[(..., *[None] * (x.dim() - 1 - dim))], apart, x)


@decomposes("diagonal_scatter.default")
def diagonal_scatter(
    x: Tensor, source: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """``x`` with a diagonal replaced."""
    last = x.movedim((dim1, dim2), (-2, -1))
    rows, columns = last.shape[-2:]
    places = torch.arange(columns, device=x.device) - torch.arange(rows, device=x.device)[:, None]
    first = max(-offset, 0)
    by_row = padded(source.to(x.dtype), -1, first, rows - first - source.shape[-1])
    replaced = torch.where(places == offset, by_row.unsqueeze(-1), last)
    return replaced.movedim((-2, -1), (dim1, dim2))


@decomposes("as_strided_scatter.default")
def as_strided_scatter(
    x: Tensor,
    source: Tensor,
    size: Sequence[int],
    stride: Sequence[int],
    storage_offset: int | None = None,
) -> Any:
    """``x``, which is contiguous, with the elements at strided places in memory replaced."""
    if x.storage_offset() or not x.is_contiguous():
        return NotImplemented
    places = torch.full((1,), storage_offset or 0, device=x.device)
    for count, step in zip(size, stride, strict=True):
        places = places.unsqueeze(-1) + torch.arange(count, device=x.device) * step
    # Where each element comes from: x, or behind it the source.
    origin = torch.arange(x.numel(), device=x.device)
    behind = torch.arange(source.numel(), device=x.device) + x.numel()
    origin = origin.scatter(0, places.flatten(), behind)
    both = torch.cat([x.flatten(), source.to(x.dtype).flatten()])
    return both.index_select(0, origin).reshape(x.shape)
