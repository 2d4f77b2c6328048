"""Views, moves, joins and indexing."""

from typing import Any

import torch
import torch.nn.functional as F
from e2e.op_cases.common import Case, Family, bools, inf, ints, rand
from torch import Tensor

FAMILIES: dict[str, Family] = {}


def _bordered(name: str, amounts: tuple[int, ...], mode: str) -> Case:
    def case(t: Any) -> Tensor:
        return F.pad(t.x[0] if name == "x0" else getattr(t, name), amounts, mode=mode)

    return case


def _assigned(x: Tensor) -> Tensor:
    changed = x.clone()
    changed[:, 1:, ::2] = 0.5
    changed[..., 0] += 1
    changed[0] = x[1, :1]
    return changed


FAMILIES["views"] = Family(
    {
        "x": rand(2, 3, 4, 5),
        "y": rand(2, 12, 1, 6),
        "v": rand(7),
        "s": rand(),
        "r": rand(2, 1, 3, 2, 5),
        "i": ints(3, 4),
        "b": bools(3, 4),
    },
    {
        "reshape": lambda t: t.x.reshape(6, 20),
        "reshape -1": lambda t: t.x.reshape(-1, 10, 3),
        "view": lambda t: t.x.view(2, 60),
        "reshape across": lambda t: t.x.reshape(8, 15),
        "flatten": lambda t: t.x.flatten(1, -2),
        "flatten rank 0": lambda t: t.s.flatten(),
        "ravel": lambda t: t.x.ravel(),
        "unflatten": lambda t: t.y.unflatten(1, (3, -1)),
        "to rank 0": lambda t: t.v[3].reshape(()),
        "from rank 0": lambda t: t.s.reshape(1, 1),
        "permute": lambda t: t.x.permute(0, -1, 1, 2),
        "permute then reshape": lambda t: t.x.permute(0, 2, 1, 3).reshape(2, 4, 15),
        "reshape then permute": lambda t: t.y.reshape(2, 3, 4, 6).permute(3, 0, 2, 1),
        "permute rank 5": lambda t: t.r.permute(4, 2, 0, 3, 1),
        "transpose": lambda t: t.x.transpose(-1, 1),
        "transpose twice": lambda t: t.x.transpose(1, 2).transpose(1, 2),
        "mT": lambda t: t.x.mT,
        "transpose rank 0": lambda t: t.s.transpose(0, -1),
        "movedim": lambda t: t.x.movedim((0, 1), (-1, 0)),
        "squeeze": lambda t: t.r.squeeze(),
        "squeeze dim": lambda t: t.y.squeeze(-2),
        "squeeze nothing": lambda t: t.y.squeeze(1),
        "squeeze dims": lambda t: t.r.squeeze((1, 3)),
        "unsqueeze": lambda t: t.x.unsqueeze(-1),
        "unsqueeze rank 0": lambda t: t.s.unsqueeze(0),
        "expand": lambda t: t.y.expand(-1, -1, 3, -1),
        "expand new dims": lambda t: t.v.expand(2, 1, 7),
        "expand rank 0": lambda t: t.s.expand(2, 3),
        "expand then reshape": lambda t: t.y.expand(2, 12, 3, 6).reshape(24, 18),
        "expand then sum": lambda t: t.v[:, None].expand(7, 4).sum(1),
        "expand_as": lambda t: t.v[:5].expand_as(t.x),
        "broadcast_to": lambda t: torch.broadcast_to(t.r, (2, 4, 3, 2, 5)),
        "repeat": lambda t: t.x.repeat(1, 2, 1, 3),
        "repeat new dims": lambda t: t.v.repeat(2, 3),
        "repeat rank 0": lambda t: t.s.repeat(3),
        "tile": lambda t: t.v.tile(2),
        "repeat_interleave": lambda t: t.x.repeat_interleave(2, dim=1),
        "slice": lambda t: t.x[:, 1:, :3],
        "slice steps": lambda t: t.x[:, ::2, 1::3, ::2],
        "slice negative": lambda t: t.x[:, -2:, :-1, -4:-1:2],
        "slice past the end": lambda t: t.x[:, 1:99],
        "select": lambda t: t.x[:, 1],
        "select negative": lambda t: t.x[..., -2],
        "select scalar": lambda t: t.v[2],
        "narrow": lambda t: t.x.narrow(2, 1, 2),
        "slice ellipsis None": lambda t: t.x[..., None, 1:2],
        "slice of slice": lambda t: t.x[:, :, 1:][:, :, :, 2:][:, 1:, ::2],
        "split": lambda t: t.x.split(2, dim=-1),
        "split sizes": lambda t: t.y.split([1, 7, 4], dim=1),
        "chunk": lambda t: t.y.chunk(3, dim=1),
        "chunk uneven": lambda t: t.v.chunk(3),
        "tensor_split": lambda t: t.v.tensor_split(3),
        "unbind": lambda t: t.x.unbind(1),
        "unbind of split": lambda t: t.y.reshape(2, 3, 4, 6).unbind(1)[2],
        "int": lambda t: t.i.mT.reshape(2, 6),
        "bool": lambda t: t.b[:, ::3].mT,
        "of a result": lambda t: (t.x * 2).permute(0, 2, 3, 1).reshape(-1, 3) + 1,
        "window partition": lambda t: (
            t.x.reshape(2, 3, 2, 2, 5, 1).permute(0, 2, 4, 3, 5, 1).reshape(-1, 2, 3)
        ),
        "pixel_shuffle": lambda t: F.pixel_shuffle(t.y, 2),
        "pixel_unshuffle": lambda t: F.pixel_unshuffle(t.x[..., :4], 2),
        "pixel_shuffle unbatched": lambda t: F.pixel_shuffle(t.y[0], 2),
        "channel_shuffle": lambda t: F.channel_shuffle(t.y, 3),
        "meshgrid": lambda t: torch.meshgrid(t.v, t.v[:3], indexing="ij"),
    },
    vulkan=True,
)

FAMILIES["moves"] = Family(
    {
        "x": rand(2, 3, 4, 5),
        "v": rand(7),
        "i": ints(3, 4),
        "b": bools(3, 4),
        "w": rand(1, 24, 6, 4),
    },
    {
        "cat": lambda t: torch.cat([t.x, t.x * 2], dim=1),
        "cat negative dim": lambda t: torch.cat([t.x, t.x[..., :1]], dim=-1),
        "cat many": lambda t: torch.cat([t.x, t.x + 1, t.x[:, :1], t.x - 2, t.x], 1),
        "cat nested": lambda t: torch.cat([torch.cat([t.x, t.x], 2), torch.cat([t.x, t.x], 2)], 3),
        "cat with itself": lambda t: torch.cat([t.v, t.v]),
        "cat dtypes": lambda t: torch.cat([t.i, t.b, t.i.int()], 0),
        "cat int float": lambda t: torch.cat([t.i.ravel(), t.v]),
        "cat with empty": lambda t: torch.cat([torch.empty(0), t.v]),
        "cat halves, one negated": lambda t: torch.cat([-t.x[:, 2:], t.x[:, :2]], 1) * t.x.sin(),
        "cat of mirrored joins": lambda t: F.pad(
            torch.cat([t.x.flip(2), F.interpolate(t.x[..., ::2, ::2], t.x.shape[2:])], 1),
            (1, 2, 2, 1),
            mode="reflect",
        ),
        "cat before a convolution": lambda t: F.conv2d(
            F.pad(torch.cat([t.x, t.x.exp()], 1), (1, 1, 1, 1), mode="replicate"),
            torch.cat([t.x[:, :, :3, :3]] * 2, 1),
        ),
        "cat one": lambda t: torch.cat([t.x], 2),
        "cat bool": lambda t: torch.cat([t.b, ~t.b], 1),
        "stack": lambda t: torch.stack([t.v, t.v * 2, t.v + 1], dim=-1),
        "stack rank 0": lambda t: torch.stack([t.v[0], t.v[3]]),
        "hstack": lambda t: torch.hstack([t.i, t.i]),
        "roll": lambda t: t.x.roll(1, 2),
        "roll dims": lambda t: t.x.roll((-1, 2), (1, -1)),
        "roll flat": lambda t: t.x.roll(13),
        "roll far": lambda t: t.v.roll(-16, 0),
        "roll by size": lambda t: t.x.roll((4, 0), (2, 3)),
        "roll the same dim": lambda t: t.x.roll((1, 1), (3, 3)),
        "roll, window": lambda t: (
            t.w.permute(0, 2, 3, 1)
            .roll((-1, -1), (1, 2))
            .reshape(1, 3, 2, 2, 2, 24)
            .permute(0, 1, 3, 2, 4, 5)
            .reshape(-1, 4, 24)
        ),
        "window, roll back": lambda t: (
            t.w.reshape(3, 2, 2, 2, 24)
            .permute(0, 2, 1, 3, 4)
            .reshape(1, 6, 4, 24)
            .roll((1, 2), (1, 2))
        ),
        "flip": lambda t: t.x.flip(-1),
        "flip dims": lambda t: t.x.flip((0, 2)),
        "flip bool": lambda t: t.b.flip(0),
        "fliplr": lambda t: t.i.fliplr(),
        "rot90": lambda t: t.x.rot90(1, (2, 3)),
        "pad": lambda t: F.pad(t.x, (1, 2)),
        "pad asymmetric": lambda t: F.pad(t.x, (0, 1, 2, 0), value=1.5),
        "pad channels": lambda t: F.pad(t.x, (0, 0, 0, 0, 1, 3)),
        "pad negative": lambda t: F.pad(t.x, (-1, 2, 0, -2)),
        "pad all negative": lambda t: F.pad(t.x, (-1, -1)),
        "pad int": lambda t: F.pad(t.i, (1, 1, 0, 2), value=-3),
        "pad bool": lambda t: F.pad(t.b, (1, 0), value=True),
        "pad -inf": lambda t: F.pad(t.x, (1, 1), value=-inf),
        "pad nothing": lambda t: F.pad(t.x, (0, 0)) + 1,
        "pad of a result": lambda t: F.pad(t.w * 2, (1, 1, 1, 1)),
        "pad of a product": lambda t: F.pad(F.conv2d(t.w, t.pointwise), (1, 2, 0, 1)),
        "pad reflect": lambda t: F.pad(t.x, (1, 2, 2, 1), mode="reflect"),
        "pad replicate": lambda t: F.pad(t.x, (1, 2, 2, 1), mode="replicate"),
    },
    {"pointwise": rand(24, 24, 1, 1)},
    vulkan=True,
)

FAMILIES["borders"] = Family(
    {"x": rand(2, 3, 4, 5), "d": rand(1, 2, 3, 4, 3), "w": rand(1, 24, 6, 5)},
    {
        f"{mode} {label}": _bordered(name, amounts, mode)
        for mode in ("reflect", "replicate", "circular")
        for label, name, amounts in (
            ("1d", "x0", (1, 2)),
            ("2d", "x", (1, 2, 2, 1)),
            ("2d unbatched", "x0", (0, 2, 1, 1)),
            ("3d", "d", (1, 2, 2, 0, 1, 1)),
            ("negative", "x", (-1, 2, 1, -2)),
        )
    }
    | {
        "reflect, then convolve": lambda t: F.conv2d(
            F.pad(F.conv2d(t.w, t.pointwise), (1, 1, 1, 1), mode="reflect"), t.kernel
        ),
        "replicate far": lambda t: F.pad(t.x, (7, 0, 0, 9), mode="replicate"),
        "circular whole": lambda t: F.pad(t.x, (5, 5, 4, 4), mode="circular"),
    },
    {"pointwise": rand(24, 24, 1, 1), "kernel": rand(5, 24, 3, 3)},
    vulkan=True,
)

FAMILIES["windows and parts"] = Family(
    {
        "x": rand(2, 3, 4, 5),
        "y": rand(2, 12, 6, 4),
        "v": rand(7),
        "m": rand(4, 6),
        "s": rand(),
        "i": ints(3, 4),
    },
    {
        "unfold": lambda t: t.x.unfold(3, 3, 1),
        "unfold side by side": lambda t: t.x.unfold(-2, 2, 2),
        "unfold apart": lambda t: t.v.unfold(0, 2, 3),
        "unfold twice": lambda t: t.y.unfold(2, 3, 2).unfold(3, 2, 1),
        "unfold rank 0": lambda t: t.s.unfold(0, 1, 1),
        "im2col": lambda t: F.unfold(t.x, (2, 3), padding=1),
        "im2col dilated": lambda t: F.unfold(
            t.y, (2, 3), dilation=(2, 1), padding=(1, 0), stride=(2, 1)
        ),
        "im2col side by side": lambda t: F.unfold(t.y, 2, stride=2),
        "im2col unbatched": lambda t: F.unfold(t.y[0], 3),
        "col2im": lambda t: F.fold(t.y.flatten(2)[..., :15], (6, 4), 2),
        "col2im side by side": lambda t: F.fold(t.y.flatten(2)[..., :6], (6, 4), 2, stride=2),
        "col2im unbatched": lambda t: F.fold(t.y.flatten(2)[0, :, :15], (6, 4), 2),
        "col2im all": lambda t: F.fold(
            t.y.flatten(2)[..., :12], (6, 4), (3, 2), dilation=(1, 2), padding=1, stride=(2, 1)
        ),
        "there and back": lambda t: F.fold(F.unfold(t.y, 3, padding=1), (6, 4), 3, padding=1),
        "diagonal": lambda t: t.m.diagonal(),
        "diagonal above": lambda t: t.x.diagonal(1, 2, 3),
        "diagonal below": lambda t: t.x.diagonal(-2, -1, 1),
        "trace": lambda t: t.m.trace(),
        "diag": lambda t: torch.diag(t.m, -1),
        "diag of a vector": lambda t: torch.diag(t.v, 2),
        "diag_embed": lambda t: torch.diag_embed(t.x, 1, 0, 2),
        "tril": lambda t: t.x.tril(-1),
        "triu int": lambda t: t.i.triu(1),
        "block_diag": lambda t: torch.block_diag(t.m, t.v),
        "as_strided": lambda t: torch.as_strided(t.x, (3, 2), (20, 5), 3),
        "as_strided, overlapping": lambda t: torch.as_strided(t.v, (3, 3), (2, 1)),
        "as_strided, repeated": lambda t: torch.as_strided(t.v, (3, 7), (0, 1)),
        "as_strided of a transpose": lambda t: torch.as_strided(t.m.T, (4,), (7,)),
        "as_strided_copy": lambda t: torch.as_strided_copy(t.x, (5, 4), (1, 5)),
        "as_strided_scatter": lambda t: torch.as_strided_scatter(t.m, t.v[:3], (3,), (7,), 2),
        "view_copy": lambda t: torch.view_copy(t.x, (6, 20)),
        "permute_copy": lambda t: torch.permute_copy(t.x, (3, 0, 2, 1)),
        "narrow_copy": lambda t: torch.narrow_copy(t.x, 2, 1, 2),
        "split_copy": lambda t: torch.split_copy(t.v, 3),
        "unbind_copy": lambda t: torch.unbind_copy(t.m),
        "native_channel_shuffle": lambda t: torch.native_channel_shuffle(t.y, 3),
        "slice_scatter": lambda t: torch.slice_scatter(t.x, t.y[:, :3, :4, :1], 3, 2, 3),
        "slice_scatter steps": lambda t: torch.slice_scatter(t.x, t.x[..., :2] * 2, -1, 0, 4, 2),
        "slice_scatter int": lambda t: torch.slice_scatter(t.i, t.i[:1] + 1, 0, 1, 2),
        "select_scatter": lambda t: torch.select_scatter(t.x, t.x[:, 0] * 3, 1, 2),
        "diagonal_scatter": lambda t: torch.diagonal_scatter(t.m, t.v[:4], 1),
        "diagonal_scatter below": lambda t: torch.diagonal_scatter(
            t.x, t.x.diagonal(-1, 1, 2) * 2, -1, 1, 2
        ),
        "assigned": lambda t: _assigned(t.x),
        "filled diagonal": lambda t: t.m.clone().fill_diagonal_(3.0),
    },
    vulkan=True,
)
