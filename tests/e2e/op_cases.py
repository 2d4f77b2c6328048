"""The ops under test: families of small expressions, each family compiled as one model.

A case is a label and a function of the family's namespace: ``t.x`` and so on are run-time inputs,
``t.w`` and so on are constants of the model. Shapes are odd on purpose: channels of 1, 3, 5, 24, 40
and 144 (the last three are not multiples of a subgroup, which IREE's Vulkan kernels stumble over),
height unlike width, batches of 1 and 2.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

Case = Callable[[Any], Any]
aten = torch.ops.aten
inf, nan = float("inf"), float("nan")
_generator = torch.Generator().manual_seed(20240607)


@dataclass(frozen=True)
class Family:
    """``tolerance`` is a relative L2 distance per output from eager in f32; integers are exact.

    ``vulkan``: whether the family runs on Vulkan too, or the labels of those cases that do (of
    many elementwise ones: the same code is generated for all that are alike).
    """

    inputs: Mapping[str, Tensor]
    cases: Mapping[str, Case]
    constants: Mapping[str, Tensor] = field(default_factory=dict)
    vulkan: bool | frozenset[str] = False
    tolerance: float = 1e-5
    # Of these types, where eager in f32 is the reference.
    half: torch.dtype | None = None

    def on(self, target: str) -> "Family":
        """What of the family runs on ``target``; KeyError where ``vulkan`` names no case."""
        if target == "cpu" or isinstance(self.vulkan, bool):
            return self
        return replace(self, cases={label: self.cases[label] for label in sorted(self.vulkan)})


class FamilyModel(torch.nn.Module):
    """All cases of a family as one model: a dict of their results by label."""

    def __init__(self, family: Family) -> None:
        super().__init__()
        self._names = list(family.inputs)
        self._cases = family.cases
        self._constants = list(family.constants)
        for name, value in family.constants.items():
            self.register_buffer(name, value.clone())

    def forward(self, *inputs: Tensor) -> dict[str, Any]:
        given = dict(zip(self._names, inputs, strict=True))
        held = {name: getattr(self, name) for name in self._constants}
        space = SimpleNamespace(**given, **held)
        return {label: case(space) for label, case in self._cases.items()}


def rand(*shape: int, scale: float = 1.0) -> Tensor:
    """Normal numbers, the same in every run."""
    return torch.randn(shape, generator=_generator) * scale


def ints(*shape: int, low: int = -9, high: int = 10) -> Tensor:
    """int64 in [low, high)."""
    return torch.randint(low, high, shape, generator=_generator)


def bools(*shape: int, share: float = 0.5) -> Tensor:
    """True with the probability ``share``."""
    return torch.rand(shape, generator=_generator) < share


def nonzero(*shape: int) -> Tensor:
    """int64 of both signs without 0."""
    value = ints(*shape, low=1, high=6)
    return torch.where(bools(*shape), value, -value)


FAMILIES: dict[str, Family] = {}

# ------------------------------------------------------------------------------------ elementwise

FAMILIES["unary"] = Family(
    {
        "x": rand(2, 3, 5, 7, scale=3),
        "p": rand(3, 5).abs() + 0.05,
        "tiny": rand(3, 5, scale=1e-4),
        "big": rand(3, 5, scale=40),
        "i": ints(3, 5),
        "s": rand(),
    },
    {
        "abs": lambda t: t.x.abs(),
        "abs int": lambda t: t.i.abs(),
        "neg": lambda t: -t.x,
        "neg int": lambda t: -t.i,
        "exp": lambda t: t.x.exp(),
        "exp int": lambda t: t.i.exp(),
        "expm1": lambda t: t.x.expm1(),
        "expm1 tiny": lambda t: t.tiny.expm1(),
        "log": lambda t: t.p.log(),
        "log1p": lambda t: t.p.log1p(),
        "log1p tiny": lambda t: t.tiny.log1p(),
        "log2": lambda t: t.p.log2(),
        "log10": lambda t: t.p.log10(),
        "sqrt": lambda t: t.p.sqrt(),
        "rsqrt": lambda t: t.p.rsqrt(),
        "reciprocal": lambda t: t.p.reciprocal(),
        "tanh": lambda t: t.x.tanh(),
        "tanh tiny": lambda t: t.tiny.tanh(),
        "tanh big": lambda t: t.big.tanh(),
        "sigmoid": lambda t: t.x.sigmoid(),
        "sigmoid big": lambda t: t.big.sigmoid(),
        "sigmoid int": lambda t: t.i.sigmoid(),
        "erf": lambda t: t.x.erf(),
        "erf tiny": lambda t: t.tiny.erf(),
        "sin": lambda t: t.x.sin(),
        "cos": lambda t: t.x.cos(),
        "sin big": lambda t: t.big.sin(),
        "ceil": lambda t: t.x.ceil(),
        "floor": lambda t: t.x.floor(),
        "round": lambda t: (t.i * 0.5).round(),
        "trunc": lambda t: t.x.trunc(),
        "ceil int": lambda t: t.i.ceil(),
        "round int": lambda t: t.i.round(),
        "frac": lambda t: t.x.frac(),
        "sign": lambda t: t.x.sign(),
        "sign int": lambda t: t.i.sign(),
        "square": lambda t: t.x.square(),
        "rank 0": lambda t: t.s.exp() + 1,
        "dropout in eval": lambda t: F.dropout(t.x, 0.5, training=False) * 2,
        "contiguous": lambda t: t.x.permute(0, 2, 3, 1).contiguous(),
        "channels last": lambda t: t.x.to(memory_format=torch.channels_last) + 1,
        "clone": lambda t: t.x.clone(),
        "detach": lambda t: t.x.detach() * 3,
    },
    vulkan=True,
)

# On the CPU only: Vulkan leaves to the device what becomes of NaN and infinities, and how exact the
# rest of a division is.
FAMILIES["special values"] = Family(
    {
        "x": torch.tensor([0.0, -0.0, 1.0, -1.0, inf, -inf, nan, 1e30, -1e30, 88.9, -104.0]),
        "y": torch.tensor([1.0, 0.0, nan, inf, inf, inf, 2.0, -inf, 0.5, nan, 3.0]),
    },
    {
        "exp": lambda t: t.x.exp(),
        "log": lambda t: t.x.log(),
        "sqrt": lambda t: t.x.sqrt(),
        "rsqrt": lambda t: t.x.rsqrt(),
        "tanh": lambda t: t.x.tanh(),
        "sigmoid": lambda t: t.x.sigmoid(),
        "erf": lambda t: t.x.erf(),
        "relu": lambda t: t.x.relu(),
        "relu6": lambda t: F.relu6(t.x),
        "silu": lambda t: F.silu(t.x[:5]),
        "softplus": lambda t: F.softplus(t.x),
        "leaky_relu": lambda t: F.leaky_relu(t.x),
        "elu": lambda t: F.elu(t.x),
        "sign": lambda t: t.x.sign().nan_to_num(7.0),
        "isnan": lambda t: t.x.isnan(),
        "isinf": lambda t: t.x.isinf(),
        "isfinite": lambda t: t.x.isfinite(),
        "nan_to_num": lambda t: t.x.nan_to_num(0.5, 2.0, -2.0),
        "maximum": lambda t: torch.maximum(t.x, t.y),
        "minimum": lambda t: torch.minimum(t.x, t.y),
        "clamp": lambda t: t.x.clamp(-2, 3),
        "eq": lambda t: t.x == t.y,
        "ne": lambda t: t.x != t.y,
        "lt": lambda t: t.x < t.y,
        "ge": lambda t: t.x >= t.y,
        "to bool": lambda t: t.x.bool(),
        "div": lambda t: t.y / t.x,
        "div 0": lambda t: t.x / 0,
        "pow": lambda t: t.x[[0, 1, 4, 5, 7, 10]] ** t.y[[0, 1, 6, 6, 8, 10]],
        "0 pow 0": lambda t: t.x[:2] ** t.y[1],
        "log1p": lambda t: t.x.log1p(),
        "div floor, inexact": lambda t: t.x[[2, 3]] // 0.1,
        "remainder, inexact": lambda t: t.x[[2, 3]] % 0.1,
        "max": lambda t: t.x.amax(),
        "max without nan": lambda t: t.x[:6].amax(),
        "min": lambda t: t.y.amin(),
        "sum": lambda t: t.x[:5].sum(),
        "any": lambda t: t.x.isnan().any(),
        "var of one": lambda t: t.y[:1].var(),
        "where": lambda t: torch.where(t.x > 0, t.x, t.y),
        "masked_fill": lambda t: t.x.masked_fill(t.x > 2, -inf),
        "softmax of -inf": lambda t: t.x[[0, 2, 5]].softmax(0),
        "softmax wholly -inf": lambda t: t.x[[5, 5, 5]].softmax(0),
        "log_softmax of -inf": lambda t: t.x[[0, 2, 5]].log_softmax(0),
    },
)

FAMILIES["binary"] = Family(
    {
        "x": rand(2, 3, 5, 7, scale=2),
        "y": rand(3, 1, 7),
        "z": rand(2, 1, 5, 1).abs() + 0.1,
        "p": rand(2, 3, 5, 7).abs() + 0.1,
        "q": torch.tensor([0.5, 7.25, -7.25, 1.0, -1.0, 3.0, -0.3]),
        "d": torch.tensor([0.3, 2.0, 2.0, 0.4, 0.4, -2.0, 0.11]),
        "s": rand(),
        "h": rand(3, 1, 7).half(),
        "i": ints(3, 1, 7),
        "n": nonzero(3, 1, 7),
        "k": ints(3, 1, 7).int(),
        "b": bools(3, 5, 1),
    },
    {
        "add": lambda t: t.x + t.y,
        "add alpha": lambda t: torch.add(t.x, t.y, alpha=-2.5),
        "add number": lambda t: t.x + 1.5,
        "radd": lambda t: 2 + t.y,
        "sub": lambda t: t.x - t.z,
        "sub alpha": lambda t: torch.sub(t.x, t.z, alpha=3),
        "rsub": lambda t: 1 - t.x,
        "rsub tensor": lambda t: torch.rsub(t.x, t.y, alpha=2),
        "mul": lambda t: t.x * t.z,
        "mul number": lambda t: t.x * -3,
        "div": lambda t: t.x / t.z,
        "div number": lambda t: t.x / 3,
        "rdiv": lambda t: 2 / t.z,
        "div floor": lambda t: torch.div(t.q, t.d, rounding_mode="floor"),
        "div floor number": lambda t: t.q // 0.7,
        "div trunc": lambda t: torch.div(t.q, t.d, rounding_mode="trunc"),
        "remainder": lambda t: t.q % t.d,
        "remainder number": lambda t: t.x % -0.7,
        "fmod": lambda t: torch.fmod(t.q, t.d),
        "pow tensors": lambda t: t.p**t.y,
        "pow 2": lambda t: t.x**2,
        "pow 3": lambda t: t.x**3,
        "pow 4": lambda t: t.x**4,
        "pow 5": lambda t: t.x**5,
        "pow -2": lambda t: t.x**-2,
        "pow -1": lambda t: t.p**-1,
        "pow 1": lambda t: t.x**1,
        "pow 0": lambda t: t.x**0,
        "pow 0.5": lambda t: t.p**0.5,
        "pow -0.5": lambda t: t.p**-0.5,
        "pow 1.7": lambda t: t.p**1.7,
        "pow 1.7 below 0": lambda t: t.x**1.7,
        "number pow": lambda t: 2.5**t.x,
        "pow -3": lambda t: t.x**-3,
        "pow whole tensors": lambda t: t.x ** t.i.float(),
        "maximum": lambda t: torch.maximum(t.x, t.y),
        "minimum": lambda t: torch.minimum(t.x, t.y),
        "atan2": lambda t: torch.atan2(t.x, t.y),
        "eq": lambda t: t.i == t.k,
        "ne number": lambda t: t.i != 3,
        "lt": lambda t: t.x < t.y,
        "le int float": lambda t: t.i <= t.y,
        "gt number": lambda t: t.x > 0.25,
        "ge int fraction": lambda t: t.i >= 2.5,
        "bool lt": lambda t: t.b < t.i,
        "where": lambda t: torch.where(t.b, t.x, t.y),
        "where numbers": lambda t: torch.where(t.b, 1.0, -2.5),
        "where number": lambda t: torch.where(t.b, t.x, 0.5),
        "where mixed": lambda t: torch.where(t.b, t.i, t.y),
        "masked_fill": lambda t: t.x.masked_fill(t.b, -7.5),
        "masked_fill tensor": lambda t: t.x.masked_fill(t.b, t.s),
        "masked_fill grows": lambda t: t.s.expand(3, 1, 1).masked_fill(t.b, 0),
        "clamp": lambda t: t.x.clamp(-0.5, 0.75),
        "clamp low": lambda t: t.x.clamp(min=0.1),
        "clamp high": lambda t: t.x.clamp(max=0.1),
        "clamp tensors": lambda t: t.x.clamp(t.y, t.y + 1),
        "clamp tensor low": lambda t: t.x.clamp(min=t.y),
        "clamp int by fraction": lambda t: t.i.clamp(-2.5, 2.5),
        "clamp crossed": lambda t: t.x.clamp(1, -1),
        "int + float": lambda t: t.i + t.x,
        "int * number": lambda t: t.i * 0.5,
        "bool + float": lambda t: t.b + t.x,
        "bool + int": lambda t: t.b + t.i,
        "bool * float": lambda t: t.b * t.x,
        "int32 + int64": lambda t: t.k + t.i,
        "int / int": lambda t: t.i / t.n,
        "half + float": lambda t: t.h + t.x,
        "half * number": lambda t: (t.h * 2.5).float(),
        "half + rank 0 float": lambda t: t.h + t.s,
        "add rank 0": lambda t: t.x + t.s,
        "rank 0 + rank 0": lambda t: t.s + t.s * 2,
        "lerp": lambda t: torch.lerp(t.x, t.y, 0.3),
        "addcmul": lambda t: torch.addcmul(t.x, t.y, t.z, value=0.5),
        "addcdiv": lambda t: torch.addcdiv(t.x, t.y, t.z, value=0.5),
        "in place": lambda t: t.x.clone().mul_(2).add_(1),
        "lt number": lambda t: t.x < 0.25,
        "add.Scalar": lambda t: aten.add.Scalar(t.x, 2, 3),
        "sub.Scalar": lambda t: aten.sub.Scalar(t.x, 2, 3),
        "mul.Scalar": lambda t: aten.mul.Scalar(t.x, 2),
        "div.Scalar": lambda t: aten.div.Scalar(t.x, 3),
        "div.Scalar_mode": lambda t: aten.div.Scalar_mode(t.x, 0.7, rounding_mode="floor"),
        "fmod.Scalar": lambda t: torch.fmod(t.q, 2),
        "in place slice": lambda t: t.x.mul(2).relu_(),
    },
    vulkan=frozenset(
        [
            "add alpha",
            "div floor",
            "remainder",
            "fmod",
            "pow tensors",
            "pow 5",
            "pow -3",
            "pow whole tensors",
            "number pow",
            "atan2",
            "le int float",
            "where mixed",
            "masked_fill grows",
            "clamp tensors",
            "bool + float",
            "half + float",
            "int / int",
            "lerp",
        ]
    ),
)

FAMILIES["integers and bools"] = Family(
    {
        "i": ints(2, 3, 5),
        "j": ints(3, 1),
        "n": nonzero(3, 5),
        "k": ints(2, 3, 5).int(),
        "c": ints(2, 3, 5).to(torch.int8),
        "x": rand(2, 3, 5, scale=4),
        "b": bools(2, 3, 5),
        "d": bools(3, 1),
    },
    {
        "floor_div": lambda t: t.i // t.n,
        "floor_div number": lambda t: t.i // -4,
        "div trunc": lambda t: torch.div(t.i, t.n, rounding_mode="trunc"),
        "div floor by fraction": lambda t: torch.div(t.i, 2.5, rounding_mode="floor"),
        "remainder": lambda t: t.i % t.n,
        "remainder number": lambda t: t.i % 4,
        "remainder below 0": lambda t: t.i % -4,
        "fmod": lambda t: torch.fmod(t.i, t.n),
        "add": lambda t: torch.add(t.i, t.j, alpha=3),
        "rsub": lambda t: 7 - t.i,
        "int8 + int8": lambda t: t.c + t.c,
        "int8 * 3": lambda t: t.c * 3,
        "pow 2": lambda t: t.i**2,
        "pow 3": lambda t: t.i**3,
        "pow 5": lambda t: t.i**5,
        "pow 0": lambda t: t.i**0,
        "maximum": lambda t: torch.maximum(t.i, t.j),
        "minimum mixed": lambda t: torch.minimum(t.k, t.j),
        "clamp": lambda t: t.i.clamp(-3, 4),
        "relu": lambda t: t.i.relu(),
        "bit and": lambda t: t.i & t.n,
        "bit or": lambda t: t.i | t.n,
        "bit xor": lambda t: t.i ^ t.n,
        "bit and number": lambda t: t.i & 6,
        "bit xor number": lambda t: t.i ^ 6,
        "bit not": lambda t: ~t.i,
        "bool and": lambda t: t.b & t.d,
        "bool or": lambda t: t.b | t.d,
        "bool xor": lambda t: t.b ^ t.d,
        "bool not": lambda t: ~t.b,
        "bool or number": lambda t: t.b | False,
        "logical and": lambda t: torch.logical_and(t.i, t.x > 1),
        "logical or": lambda t: torch.logical_or(t.b, t.j),
        "logical xor": lambda t: torch.logical_xor(t.b, t.j),
        "logical not": lambda t: torch.logical_not(t.x.trunc()),
        "logical not bool": lambda t: torch.logical_not(t.b),
        "bool + bool": lambda t: t.b + t.d,
        "bool + True": lambda t: t.b + True,
        "bool * bool": lambda t: t.b * t.d,
        "bool maximum": lambda t: torch.maximum(t.b, t.d),
        "bool lt": lambda t: t.b < t.d,
        "bool ge": lambda t: t.b >= t.d,
        "bool eq": lambda t: t.b == t.d,
        "where bool": lambda t: torch.where(t.b, t.d, ~t.d),
        "masked_fill bool": lambda t: t.b.masked_fill(t.d, True),
        "int of float": lambda t: t.x.long(),
        "int32 of float": lambda t: t.x.int(),
        "int8 of float": lambda t: t.x.to(torch.int8),
        "int8 of int": lambda t: (t.i * 40).to(torch.int8),
        "int of bool": lambda t: t.b.long() * 3,
        "int of int8": lambda t: t.c.long(),
        "float of int": lambda t: t.i.float(),
        "float of bool": lambda t: t.b.float(),
        "bool of float": lambda t: (t.x.trunc() * 0.25).bool(),
        "bool of int": lambda t: t.i.bool(),
        "half of int": lambda t: t.i.half(),
        "type_as": lambda t: t.i.type_as(t.x),
        "sum": lambda t: t.i.sum(1),
        "sum int8": lambda t: t.c.sum((0, 2)),
        "sum bool": lambda t: t.b.sum(-1),
        "sum int as float": lambda t: t.i.sum(dtype=torch.float32),
        "mean of int": lambda t: t.i.mean(1, dtype=torch.float32),
        "prod": lambda t: t.i.prod(2),
        "amax": lambda t: t.i.amax((0, 2)),
        "amin": lambda t: t.i.amin(-1, keepdim=True),
        "max": lambda t: t.i.max(),
        "min": lambda t: t.k.min(),
        "any": lambda t: t.b.any(),
        "any int": lambda t: t.i.any(1),
        "any dims": lambda t: t.b.any((0, 2), keepdim=True),
        "all": lambda t: t.b.all(),
        "all dim": lambda t: t.b.all(-1, keepdim=True),
        "all dims": lambda t: t.i.all((0, 1)),
        "all float": lambda t: t.x.trunc().all(0),
        "amax bool": lambda t: t.b.amax(1),
        "matmul": lambda t: t.i @ t.n.mT,
        "cumulative mask": lambda t: torch.arange(5) < t.j,
        "mask by length": lambda t: torch.arange(5)[None, :] > t.i[:, :, 0][..., None],
        "zeros_like": lambda t: torch.zeros_like(t.i) + t.i,
        "ones_like bool": lambda t: torch.ones_like(t.b),
        "full_like": lambda t: torch.full_like(t.x, 2.5) * t.x,
        "new_zeros": lambda t: t.x.new_zeros(3, 1) + t.j,
        "new_full": lambda t: t.i.new_full((2, 2), 7),
        "tril": lambda t: t.x.tril(),
        "triu": lambda t: t.i.triu(1),
        "numbers": lambda t: t.i * t.x.shape[1] + t.x.dim(),
    },
    vulkan=frozenset(
        [
            "floor_div",
            "remainder",
            "remainder below 0",
            "int8 + int8",
            "int8 of int",
            "pow 5",
            "bit not",
            "bool lt",
            "where bool",
            "int of float",
            "float of bool",
            "sum int8",
            "sum bool",
            "prod",
            "amax bool",
            "any dims",
            "all float",
            "matmul",
            "mask by length",
            "full_like",
            "triu",
        ]
    ),
)

FAMILIES["activations"] = Family(
    {
        "x": rand(2, 24, 5, 3, scale=3),
        "far": torch.tensor([-30.0, -21.0, -12.5, 19.9, 20.1, 35.0]),
        "s": rand(2, 6, 5),
    },
    {
        "relu": lambda t: F.relu(t.x),
        "relu6": lambda t: F.relu6(t.x),
        "hardtanh": lambda t: F.hardtanh(t.x, -1.5, 0.5),
        "gelu": lambda t: F.gelu(t.x),
        "gelu tanh": lambda t: F.gelu(t.x, approximate="tanh"),
        "gelu sigmoid": lambda t: t.x * torch.sigmoid(1.702 * t.x),
        "silu": lambda t: F.silu(t.x),
        "mish": lambda t: F.mish(t.x),
        "softplus": lambda t: F.softplus(t.x),
        "softplus beta": lambda t: F.softplus(t.x, beta=2.5, threshold=4),
        "softplus far": lambda t: F.softplus(t.far),
        "softplus below": lambda t: F.softplus(t.far[:3]),
        "logsigmoid": lambda t: F.logsigmoid(t.x),
        "hardswish": lambda t: F.hardswish(t.x),
        "hardsigmoid": lambda t: F.hardsigmoid(t.x),
        "elu": lambda t: F.elu(t.x, alpha=0.7),
        "selu": lambda t: F.selu(t.x),
        "celu": lambda t: F.celu(t.x, alpha=1.3),
        "leaky_relu": lambda t: F.leaky_relu(t.x, 0.2),
        "prelu": lambda t: F.prelu(t.x, t.slope),
        "glu": lambda t: F.glu(t.s, dim=1),
        "softsign": lambda t: F.softsign(t.x),
        "tanhshrink": lambda t: F.tanhshrink(t.x),
        "threshold": lambda t: F.threshold(t.x, 0.3, -2.0),
        "softmax": lambda t: F.softmax(t.x, dim=1),
        "softmax last": lambda t: F.softmax(t.x, dim=-1),
        "softmax of big": lambda t: F.softmax(t.x * 100, dim=2),
        "softmax rank 1": lambda t: F.softmax(t.far, dim=0),
        "_softmax": lambda t: aten._softmax(t.x, 1, False),
        "_log_softmax": lambda t: aten._log_softmax(t.x, 1, False),
        "softmax rank 0": lambda t: F.softmax(t.far.sum(), dim=0),
        "softmax of int": lambda t: F.softmax(t.x.long(), dim=1, dtype=torch.float32),
        "softmax to float": lambda t: F.softmax(t.s.half(), dim=-1, dtype=torch.float32),
        "softmin": lambda t: F.softmin(t.s, dim=-2),
        "log_softmax": lambda t: F.log_softmax(t.x, dim=1),
        "log_softmax last": lambda t: F.log_softmax(t.x, dim=-1),
        "log_softmax rank 0": lambda t: F.log_softmax(t.far.sum(), dim=0),
        "logsumexp": lambda t: torch.logsumexp(t.x, dim=(1, 3)),
    },
    {"slope": rand(24)},
    vulkan=True,
)

# -------------------------------------------------------------------------------------- structure

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
        "im2col": lambda t: F.unfold(t.x, (2, 3), padding=1),
    },
    {"pointwise": rand(24, 24, 1, 1)},
    vulkan=True,
)

FAMILIES["indexing"] = Family(
    {
        "x": rand(3, 4, 5, 6),
        "v": rand(11),
        "i": torch.tensor([2, 0, -1]),
        "j": torch.tensor([[3], [-4]]),
        "k": torch.tensor([1, -6, 5], dtype=torch.int32),
        "tokens": ints(2, 7, low=0, high=13),
        "n": torch.tensor(2),
    },
    {
        "runtime": lambda t: t.x[t.i],
        "runtime dim": lambda t: t.x[:, :, t.i],
        "runtime last": lambda t: t.x[..., t.k],
        "runtime two": lambda t: t.x[t.i, t.i],
        "runtime two by broadcast": lambda t: t.x[:, t.j, t.i],
        "runtime not adjacent": lambda t: t.x[t.i, :, t.i],
        "runtime not adjacent, inner": lambda t: t.x[:, t.i, :, t.j],
        "runtime and select": lambda t: t.x[1, :, t.i],
        "runtime and slice": lambda t: t.x[1:, t.i, ::2],
        "runtime and None": lambda t: t.x[None, t.i],
        "runtime, constant": lambda t: t.x[t.i, [0, 1, 3]],
        "all axes": lambda t: t.x[t.i, t.i, t.i, t.i],
        "constant": lambda t: t.x[[2, 0, 0, -1]],
        "constant dim": lambda t: t.x[:, [3, 1]],
        "constant run": lambda t: t.x[:, :, [1, 2, 3]],
        "constant stride": lambda t: t.x[..., [0, 2, 4]],
        "constant two": lambda t: t.x[[0, 2], [1, -1]],
        "constant not adjacent": lambda t: t.x[[0, 2], :, [1, -1]],
        "constant mesh": lambda t: t.x[:, torch.tensor([[0], [3]]), torch.tensor([[1, 2, 4]])],
        "constant mesh run": lambda t: t.x[:, torch.arange(4)[:, None], torch.arange(5)],
        "constant one": lambda t: t.x[:, [2]],
        "constant backwards": lambda t: t.v[[4, 3, 2]],
        "constant repeated": lambda t: t.v[[4, 4, 4]],
        "table by constants": lambda t: (
            t.bias[t.positions].permute(2, 0, 1) + t.v[:6].view(6, 1, 1)
        ),
        "table by inputs": lambda t: t.bias[t.tokens],
        "index_select": lambda t: t.x.index_select(-2, t.i.abs()),
        "index_select constant": lambda t: t.x.index_select(1, torch.tensor([3, 0])),
        "embedding": lambda t: F.embedding(t.tokens, t.table),
        "embedding of int32": lambda t: F.embedding(t.tokens.int(), t.table),
        "embedding padding": lambda t: F.embedding(t.tokens, t.table, padding_idx=0),
        "embedding rank 0": lambda t: F.embedding(t.n, t.table),
        "embedding of an input": lambda t: F.embedding(t.tokens, t.x.reshape(-1, 6)),
        "take by mask": lambda t: torch.where(t.tokens > 3, t.bias[t.tokens][..., 0], -1.0),
        "index int": lambda t: t.tokens[:, t.i],
        "index bool": lambda t: (t.x > 0)[t.i],
    },
    {
        "table": rand(13, 24),
        "bias": rand(13, 6),
        "positions": ints(4, 5, low=0, high=13),
    },
    vulkan=True,
)

# ------------------------------------------------------------------------------------- reductions

FAMILIES["reductions"] = Family(
    {"x": rand(2, 3, 5, 7) + 0.5, "w": rand(5, 144), "v": rand(40), "s": rand()},
    {
        "sum": lambda t: t.x.sum(),
        "sum dim": lambda t: t.x.sum(-1),
        "sum first": lambda t: t.x.sum(0, keepdim=True),
        "sum dims": lambda t: t.x.sum((1, -1)),
        "sum dims keep": lambda t: t.x.sum((0, 2), keepdim=True),
        "sum rank 0": lambda t: t.s.sum(),
        "sum rank 0 dim": lambda t: t.s.sum(-1),
        "sum of no dims": lambda t: t.x.sum(()),
        "mean": lambda t: t.x.mean(),
        "mean dims": lambda t: t.x.mean((2, 3)),
        "mean keep": lambda t: t.x.mean(1, keepdim=True),
        "mean of a row": lambda t: t.w.mean(-1),
        "amax": lambda t: t.x.amax(1),
        "amax all": lambda t: t.x.amax(),
        "amin": lambda t: t.x.amin((-1, 0), keepdim=True),
        "max": lambda t: t.x.max(),
        "min": lambda t: t.x.min(),
        "aminmax": lambda t: tuple(torch.aminmax(t.w, dim=1)),
        "prod": lambda t: t.v[:9].prod(),
        "prod dim": lambda t: t.x.prod(2),
        "prod keep": lambda t: t.x.prod(-2, keepdim=True),
        "var": lambda t: t.x.var(),
        "var dim": lambda t: t.x.var(1),
        "var biased": lambda t: t.x.var((2, 3), correction=0, keepdim=True),
        "var correction": lambda t: t.x.var(-1, correction=2),
        "var far from 0": lambda t: (t.w + 100).var(1),
        "std": lambda t: t.x.std(-1, keepdim=True),
        "std unbiased": lambda t: t.x.std(unbiased=False),
        "var_mean": lambda t: tuple(torch.var_mean(t.x, (1, 3))),
        "var_mean keep": lambda t: tuple(torch.var_mean(t.w, 1, correction=0, keepdim=True)),
        "std_mean": lambda t: tuple(torch.std_mean(t.x, 2)),
        "norm": lambda t: torch.linalg.vector_norm(t.x, dim=1),
        "norm 1": lambda t: t.x.norm(p=1, dim=-1, keepdim=True),
        "norm inf": lambda t: torch.linalg.vector_norm(t.x, ord=inf, dim=(1, 2)),
        "norm 3": lambda t: torch.linalg.vector_norm(t.x, ord=3, dim=2),
        "normalize": lambda t: F.normalize(t.x, dim=1),
        "cosine": lambda t: F.cosine_similarity(t.x, t.x.flip(0), dim=1),
        "mse": lambda t: F.mse_loss(t.x, t.x * 0.5),
        "masked mean": lambda t: (t.x * (t.x > 0)).sum(1) / (t.x > 0).sum(1).clamp(min=1),
        "sum of a transpose": lambda t: t.x.permute(0, 3, 1, 2).sum((1, 2)),
        "sum of many": lambda t: (t.v[:, None] + t.w[:1]).sum(0),
        "any": lambda t: (t.x > 2).any(-1),
        "all": lambda t: (t.x > -2).all(0),
    },
    vulkan=True,
)

FAMILIES["normalization"] = Family(
    {"x": rand(2, 24, 5, 3) * 2 + 1, "t": rand(2, 7, 40), "w": rand(3, 144), "c": rand(2, 6)},
    {
        "layer_norm": lambda t: F.layer_norm(t.t, (40,), t.g40, t.b40),
        "layer_norm plain": lambda t: F.layer_norm(t.t, (40,)),
        "native_layer_norm": lambda t: torch.native_layer_norm(t.t, (40,), t.g40, t.b40, 1e-5)[0],
        "layer_norm no bias": lambda t: F.layer_norm(t.t, (40,), t.g40),
        "layer_norm no weight": lambda t: F.layer_norm(t.t, (40,), None, t.b40),
        "layer_norm eps": lambda t: F.layer_norm(t.t * 1e-3, (40,), t.g40, t.b40, eps=1e-2),
        "layer_norm two dims": lambda t: F.layer_norm(t.x, (5, 3), t.g53, t.b53),
        "layer_norm all dims": lambda t: F.layer_norm(t.w, (3, 144)),
        "layer_norm odd": lambda t: F.layer_norm(t.w, (144,)),
        "layer_norm channels last": lambda t: F.layer_norm(
            t.x.permute(0, 2, 3, 1), (24,), t.g24, t.b24
        ).permute(0, 3, 1, 2),
        "layer_norm of a sum": lambda t: F.layer_norm(t.t + t.t.flip(1), (40,), t.g40, t.b40),
        "layer_norm far from 0": lambda t: F.layer_norm(t.t + 50, (40,)),
        "group_norm": lambda t: F.group_norm(t.x, 4, t.g24, t.b24),
        "group_norm plain": lambda t: F.group_norm(t.x, 3),
        "group_norm one": lambda t: F.group_norm(t.x, 1, t.g24, t.b24, eps=1e-3),
        "group_norm per channel": lambda t: F.group_norm(t.x, 24, t.g24),
        "group_norm rank 2": lambda t: F.group_norm(t.c, 3, t.g24[:6], t.b24[:6]),
        "group_norm rank 3": lambda t: F.group_norm(t.t.mT, 5, t.g40, t.b40),
        "instance_norm": lambda t: F.instance_norm(t.x),
        "instance_norm affine": lambda t: F.instance_norm(t.x, weight=t.g24, bias=t.b24),
        "rms_norm": lambda t: F.rms_norm(t.t, (40,), t.g40),
        "rms_norm eps": lambda t: F.rms_norm(t.t, (40,), eps=1e-3),
        "rms by hand": lambda t: (
            t.t * torch.rsqrt(t.t.pow(2).mean(-1, keepdim=True) + 1e-6) * t.g40
        ),
        "batch_norm": lambda t: F.batch_norm(t.x, t.m24, t.v24, t.g24, t.b24),
        "batch_norm eps": lambda t: F.batch_norm(t.x, t.m24, t.v24, t.g24, t.b24, eps=0.1),
        "batch_norm plain": lambda t: F.batch_norm(t.x, t.m24, t.v24),
        "batch_norm rank 2": lambda t: F.batch_norm(
            t.c, t.m24[:6], t.v24[:6], t.g24[:6], t.b24[:6]
        ),
        "batch_norm rank 3": lambda t: F.batch_norm(t.t.mT, t.m40, t.v40, t.g40, t.b40),
        "batch_norm rank 5": lambda t: F.batch_norm(t.x[..., None], t.m24, t.v24, t.g24, t.b24),
        "conv, batch_norm, relu": lambda t: F.batch_norm(
            F.conv2d(t.x, t.kernel, padding=1), t.m24, t.v24, t.g24, t.b24
        ).relu(),
    },
    {
        **{f"g{n}": rand(n) for n in (24, 40)},
        **{f"b{n}": rand(n) for n in (24, 40)},
        **{f"m{n}": rand(n) for n in (24, 40)},
        **{f"v{n}": rand(n).abs() + 0.1 for n in (24, 40)},
        "g53": rand(5, 3),
        "b53": rand(5, 3),
        "kernel": rand(24, 24, 3, 3, scale=0.1),
    },
    vulkan=True,
)

# ------------------------------------------------------------------------------------ contractions

FAMILIES["contractions"] = Family(
    {
        "v": rand(5),
        "m": rand(3, 5),
        "n": rand(5, 7),
        "a": rand(2, 3, 5),
        "c": rand(2, 5, 7),
        "d": rand(4, 1, 3, 5),
        "e": rand(2, 5, 1),
        "w": rand(1, 144),
        "x": rand(2, 9, 24),
    },
    {
        "vector vector": lambda t: t.v @ t.v,
        "matrix vector": lambda t: t.m @ t.v,
        "vector matrix": lambda t: t.v @ t.n,
        "matrix matrix": lambda t: t.m @ t.n,
        "batch matrix": lambda t: t.a @ t.n,
        "matrix batch": lambda t: t.m @ t.c,
        "batch batch": lambda t: t.a @ t.c,
        "batch vector": lambda t: t.a @ t.v,
        "vector batch": lambda t: t.v @ t.c,
        "broadcast batch": lambda t: t.d @ t.c,
        "broadcast both": lambda t: t.d @ t.c[:, None].transpose(0, 1),
        "batch of 1": lambda t: t.a[:1] @ t.c,
        "column": lambda t: t.a @ t.e,
        "outer": lambda t: torch.outer(t.v, t.n[0]),
        "outer by matmul": lambda t: t.v[:, None] @ t.v[None],
        "transposed": lambda t: t.n.mT @ t.m.mT,
        "transposed batch": lambda t: t.a.mT @ t.a,
        "self": lambda t: t.a @ t.a.mT,
        "mm": lambda t: torch.mm(t.m, t.n),
        "bmm": lambda t: torch.bmm(t.a, t.c),
        "mv": lambda t: torch.mv(t.m, t.v),
        "dot": lambda t: torch.dot(t.v, t.n[:, 1]),
        "addmm": lambda t: torch.addmm(t.n[:3], t.m, t.n),
        "addmm scaled": lambda t: torch.addmm(t.n[0], t.m, t.n, beta=0.5, alpha=-2),
        "baddbmm": lambda t: torch.baddbmm(t.n[:3], t.a, t.c, beta=2, alpha=0.3),
        "linear": lambda t: F.linear(t.x, t.w1, t.b1),
        "linear no bias": lambda t: F.linear(t.x, t.w1),
        "linear rank 1": lambda t: F.linear(t.x[0, 0], t.w1, t.b1),
        "linear rank 2": lambda t: F.linear(t.x[0], t.w1, t.b1),
        "linear rank 4": lambda t: F.linear(t.x[None], t.w1, t.b1),
        "linear one row": lambda t: F.linear(t.w, t.w144, t.b1),
        "linear one column": lambda t: F.linear(t.x, t.w1[:1], t.b1[:1]),
        "linear by vector": lambda t: F.linear(t.x, t.w1[0]),
        "linear of inputs": lambda t: F.linear(t.a, t.n.mT),
        "linear of a transpose": lambda t: F.linear(t.x.mT, t.w9),
        "linear, gelu": lambda t: F.gelu(F.linear(t.x, t.w1, t.b1)),
        "same weight twice": lambda t: F.linear(F.linear(t.x, t.w24), t.w24),
        "einsum": lambda t: torch.einsum("bij,bjk->bki", t.a, t.c),
        "einsum outer": lambda t: torch.einsum("bi,bj->bij", t.m, t.m),
        "einsum heads": lambda t: torch.einsum(
            "bqhd,bkhd->bhqk", t.x.view(2, 9, 4, 6), t.x.view(2, 9, 4, 6)
        ),
        "einsum trace": lambda t: torch.einsum("ij,ij->", t.m, t.m),
        "tensordot": lambda t: torch.tensordot(t.a, t.c, dims=([2], [1])),
        "kron": lambda t: torch.kron(t.v, t.v[:2]),
    },
    {
        "w1": rand(40, 24),
        "b1": rand(40),
        "w144": rand(40, 144),
        "w9": rand(5, 9),
        "w24": rand(24, 24, scale=0.2),
    },
    vulkan=True,
)

# ------------------------------------------------------------------------------------ convolutions


def _conv_cases() -> dict[str, Case]:
    return {
        "1x1": lambda t: F.conv2d(t.x3, t.w5_3_1),
        "1x1 bias": lambda t: F.conv2d(t.x24, t.w40_24_1, t.b40),
        "1x1 stride": lambda t: F.conv2d(t.x24, t.w40_24_1, t.b40, stride=2),
        "1x1 padded": lambda t: F.conv2d(t.x3, t.w5_3_1, padding=1),
        "3x3": lambda t: F.conv2d(t.x3, t.w5_3_3, padding=1),
        "3x3 valid": lambda t: F.conv2d(t.x3, t.w5_3_3),
        "3x3 stride": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=2, padding=1),
        "3x3 strides": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=(1, 3), padding=(2, 0)),
        "3x3 dilated": lambda t: F.conv2d(t.x3, t.w5_3_3, padding=2, dilation=2),
        "3x3 one channel": lambda t: F.conv2d(t.x3[:, :1], t.w5_3_3[:, :1], padding=1),
        "3x3 one filter": lambda t: F.conv2d(t.x3, t.w5_3_3[:1], padding=1),
        "3x3 same": lambda t: F.conv2d(t.x3, t.w5_3_3, padding="same"),
        "2x2 same": lambda t: F.conv2d(t.x3, t.w5_3_3[:, :, :2, :2], padding="same"),
        "3x3 padded apart": lambda t: F.conv2d(F.pad(t.x3, (0, 1, 2, 0)), t.w5_3_3, stride=2),
        "3x3 of 40": lambda t: F.conv2d(t.x40, t.w24_40_3, padding=1),
        "2x3": lambda t: F.conv2d(t.x3, t.w5_3_3[:, :, :2], padding=(1, 0)),
        "7x7 stride": lambda t: F.conv2d(t.x3, t.w5_3_7, stride=2, padding=3),
        "patch": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=3),
        "patch 2": lambda t: F.conv2d(t.x24, t.w40_24_2, t.b40, stride=2),
        "whole": lambda t: F.conv2d(t.x3[..., :7, :7], t.w5_3_7),
        "unbatched": lambda t: F.conv2d(t.x3[0], t.w5_3_3, padding=1),
        "relu between": lambda t: F.conv2d(
            F.conv2d(t.x24, t.w40_24_1, t.b40).relu(), t.w24_40_3, padding=1
        ),
        "residual": lambda t: t.x24 + F.conv2d(t.x24, t.w24_24_3, padding=1),
        "of a permute": lambda t: F.conv2d(t.x24.permute(0, 3, 2, 1)[:, :3], t.w5_3_3, padding=1),
        "tokens": lambda t: F.conv2d(t.x3, t.w5_3_3, stride=3).flatten(2).mT,
        "runtime kernel": lambda t: F.conv2d(t.x3, t.k, padding=1),
        "conv1d": lambda t: F.conv1d(t.x24[..., 0], t.w40_24_2[..., 0], t.b40),
        "conv1d padded": lambda t: F.conv1d(
            t.x3[..., 0], t.w5_3_3[..., 0], stride=2, padding=2, dilation=2
        ),
        "conv1d patch": lambda t: F.conv1d(t.x3[..., 0], t.w5_3_3[..., 0], stride=3),
        "conv1d pointwise": lambda t: F.conv1d(t.x24[..., 0], t.w40_24_2[..., 0, :1]),
        "conv3d": lambda t: F.conv3d(t.x5d, t.w5_3_333, padding=1),
        "conv3d strides": lambda t: F.conv3d(
            t.x5d, t.w5_3_333, stride=(1, 2, 3), padding=(1, 0, 2)
        ),
        "conv3d patch": lambda t: F.conv3d(t.x5d, t.w5_3_333[:, :, :2, :2, :2], stride=2),
    }


FAMILIES["convolutions"] = Family(
    {
        "x3": rand(2, 3, 11, 8),
        "x24": rand(1, 24, 7, 6),
        "x40": rand(1, 40, 5, 6),
        "x5d": rand(1, 3, 4, 5, 7),
        "k": rand(4, 3, 3, 3),
    },
    _conv_cases(),
    {
        "w5_3_1": rand(5, 3, 1, 1),
        "w5_3_3": rand(5, 3, 3, 3),
        "w5_3_7": rand(5, 3, 7, 7),
        "w40_24_1": rand(40, 24, 1, 1),
        "w40_24_2": rand(40, 24, 2, 2),
        "w24_24_3": rand(24, 24, 3, 3),
        "w24_40_3": rand(24, 40, 3, 3),
        "w5_3_333": rand(5, 3, 3, 3, 3),
        "b40": rand(40),
    },
    vulkan=True,
)


def _depthwise(channels: int, **options: Any) -> Case:
    def case(t: Any) -> Tensor:
        x, kernel = getattr(t, f"x{channels}"), getattr(t, f"w{channels}")
        return F.conv2d(x, kernel, groups=channels, **options)

    return case


FAMILIES["grouped convolutions"] = Family(
    {f"x{c}": rand(2 if c in (3, 24) else 1, c, 7, 10) for c in (1, 3, 5, 16, 24, 40, 96, 144)},
    {
        **{f"depthwise {c}": _depthwise(c, padding=1) for c in (1, 3, 5, 16, 24, 40, 96, 144)},
        **{f"depthwise {c} stride": _depthwise(c, padding=1, stride=2) for c in (3, 24, 144)},
        "depthwise valid": _depthwise(24),
        "depthwise dilated": _depthwise(24, padding=2, dilation=2),
        "depthwise strides": _depthwise(40, padding=(0, 2), stride=(3, 1)),
        "depthwise patch": _depthwise(24, stride=3),
        "depthwise padded apart": lambda t: F.conv2d(
            F.pad(t.x24, (0, 1, 0, 1)), t.w24, stride=2, groups=24
        ),
        "depthwise bias, relu6": lambda t: F.relu6(
            F.conv2d(t.x40, t.w40, t.b40, padding=1, groups=40)
        ),
        "depthwise 7x7": lambda t: F.conv2d(t.x24, t.w24_7, padding=3, groups=24),
        "pointwise, depthwise, pointwise": lambda t: F.conv2d(
            F.conv2d(F.conv2d(t.x16, t.up).relu(), t.w96, padding=1, groups=96).relu(), t.down
        ),
        "multiplier 2": lambda t: F.conv2d(t.x24, t.double24, t.b48, padding=1, groups=24),
        "multiplier 2 of 3": lambda t: F.conv2d(t.x3, t.double24[:6], padding=1, groups=3),
        "grouped 4": lambda t: F.conv2d(t.x24, t.quarter, padding=1, groups=4),
        "grouped 4 stride": lambda t: F.conv2d(t.x24, t.quarter, stride=2, padding=1, groups=4),
        "grouped 4, 1x1": lambda t: F.conv2d(t.x24, t.quarter[..., :1, :1], groups=4),
        "grouped to one each": lambda t: F.conv2d(t.x24, t.quarter[:4], padding=1, groups=4),
        "depthwise 1d": lambda t: F.conv1d(t.x24[..., 0], t.w24[..., 0], padding=1, groups=24),
        "grouped 1d": lambda t: F.conv1d(t.x24[..., 0], t.quarter[..., 0], groups=4),
        "depthwise 3d": lambda t: F.conv3d(
            t.x5[:, :, None].expand(1, 5, 4, 7, 10), t.cube5, padding=1, groups=5
        ),
    },
    {
        **{f"w{c}": rand(c, 1, 3, 3) for c in (1, 3, 5, 16, 24, 40, 96, 144)},
        "w24_7": rand(24, 1, 7, 7),
        "b40": rand(40),
        "b48": rand(48),
        "up": rand(96, 16, 1, 1),
        "down": rand(24, 96, 1, 1),
        "double24": rand(48, 1, 3, 3),
        "quarter": rand(8, 6, 3, 3),
        "cube5": rand(5, 1, 3, 3, 3),
    },
    vulkan=True,
)

FAMILIES["pooling"] = Family(
    {"x": rand(2, 3, 9, 7), "c": rand(1, 24, 8, 6), "v": rand(2, 5, 11), "d": rand(1, 2, 5, 6, 4)},
    {
        "max": lambda t: F.max_pool2d(t.x, 2),
        "max 3, 2, 1": lambda t: F.max_pool2d(t.x, 3, 2, 1),
        "max ceil": lambda t: F.max_pool2d(t.x, 2, ceil_mode=True),
        "max ceil padded": lambda t: F.max_pool2d(t.x, 3, 3, 1, ceil_mode=True),
        "max dilated": lambda t: F.max_pool2d(t.x, 3, 1, 1, dilation=2),
        "max sides": lambda t: F.max_pool2d(t.x, (2, 3), (3, 1), (0, 1)),
        "max of 24": lambda t: F.max_pool2d(t.c, 3, 2, 1),
        "max below 0": lambda t: F.max_pool2d(-t.x.abs(), 3, 2, 1),
        "max of a conv": lambda t: F.max_pool2d(F.conv2d(t.x, t.w, padding=1).relu(), 3, 2, 1),
        "max unbatched": lambda t: F.max_pool2d(t.x[0], 2),
        "max list of one": lambda t: F.max_pool2d(t.x[0], [2]),
        "max 1d": lambda t: F.max_pool1d(t.v, 3, 2, 1),
        "max 3d": lambda t: F.max_pool3d(t.d, 2, padding=1),
        "max 3d of two results": lambda t: F.max_pool3d(t.d, 2, return_indices=True)[0],
        "max int": lambda t: F.max_pool2d(t.x.mul(5).long(), 2),
        "avg": lambda t: F.avg_pool2d(t.x, 2),
        "avg 3, 1, 1": lambda t: F.avg_pool2d(t.x, 3, 1, 1),
        "avg uncounted": lambda t: F.avg_pool2d(t.x, 3, 2, 1, count_include_pad=False),
        "avg ceil": lambda t: F.avg_pool2d(t.x, 2, ceil_mode=True),
        "avg ceil padded": lambda t: F.avg_pool2d(t.x, 3, 2, 1, ceil_mode=True),
        "avg ceil uncounted": lambda t: F.avg_pool2d(
            t.x, (3, 2), 2, (1, 0), ceil_mode=True, count_include_pad=False
        ),
        "avg sides": lambda t: F.avg_pool2d(t.c, (2, 3), (1, 2), (1, 0)),
        "avg unbatched": lambda t: F.avg_pool2d(t.x[0], 3),
        "avg 1d": lambda t: F.avg_pool1d(t.v, 3, 2, 1),
        "avg 1d ceil": lambda t: F.avg_pool1d(t.v, 4, 4, ceil_mode=True),
        "avg 3d": lambda t: F.avg_pool3d(t.d, (2, 3, 1), padding=(1, 1, 0)),
        "adaptive 1": lambda t: F.adaptive_avg_pool2d(t.c, 1),
        "adaptive 1 flat": lambda t: F.adaptive_avg_pool2d(t.c, 1).flatten(1),
        "adaptive divides": lambda t: F.adaptive_avg_pool2d(t.c, (4, 3)),
        "adaptive one side": lambda t: F.adaptive_avg_pool2d(t.c, (1, None)),
        "adaptive same": lambda t: F.adaptive_avg_pool2d(t.c, (8, 6)) * 2,
        "adaptive unbatched": lambda t: F.adaptive_avg_pool2d(t.c[0], (2, 2)),
        "adaptive 1d": lambda t: F.adaptive_avg_pool1d(t.v[..., :10], 5),
        "adaptive 1d to 1": lambda t: F.adaptive_avg_pool1d(t.v, 1),
        "adaptive 3d": lambda t: F.adaptive_avg_pool3d(t.d, (5, 2, 2)),
    },
    {"w": rand(5, 3, 3, 3)},
    vulkan=True,
)

# --------------------------------------------------------------------------------------- attention


def _causal_by_hand(length: int, steps: int) -> Tensor:
    return torch.ones(length, steps, dtype=torch.bool).tril(diagonal=steps - length)


_row_masked = bools(5, 9, share=0.7)
_row_masked[2] = False
_column_masked = bools(2, 1, 1, 9, share=0.6)
_float_mask = rand(5, 9)
_float_mask[1] = -inf
_float_mask[3, 4:] = -inf

FAMILIES["attention"] = Family(
    {
        "q": rand(2, 3, 5, 8),
        "k": rand(2, 3, 9, 8),
        "v": rand(2, 3, 9, 6),
        "mask": _row_masked,
        "keys": _column_masked,
        "bias": _float_mask,
        "gq": rand(2, 6, 5, 8),
    },
    {
        "plain": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v),
        "scale": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, scale=0.3),
        "self": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q),
        "causal": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q, is_causal=True),
        "causal, more keys": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, is_causal=True
        ),
        "causal, more queries": lambda t: F.scaled_dot_product_attention(
            t.k, t.q, t.q, is_causal=True
        ),
        "bool mask": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.mask),
        "key mask": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.keys),
        "float mask": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.bias),
        "float mask per head": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, t.q.mean(-1, keepdim=True)
        ),
        "constant mask": lambda t: F.scaled_dot_product_attention(
            t.q, t.k, t.v, _causal_by_hand(5, 9)
        ),
        "constant bias": lambda t: F.scaled_dot_product_attention(t.q, t.k, t.v, t.table),
        "grouped queries": lambda t: F.scaled_dot_product_attention(
            t.gq, t.k, t.v, enable_gqa=True
        ),
        "grouped queries, causal": lambda t: F.scaled_dot_product_attention(
            t.gq, t.k, t.v, is_causal=True, enable_gqa=True
        ),
        "one query": lambda t: F.scaled_dot_product_attention(t.q[:, :, -1:], t.k, t.v),
        "one key": lambda t: F.scaled_dot_product_attention(t.q, t.k[:, :, :1], t.v[:, :, :1]),
        "rank 3": lambda t: F.scaled_dot_product_attention(t.q[0], t.k[0], t.v[0]),
        "rank 2": lambda t: F.scaled_dot_product_attention(t.q[0, 0], t.k[0, 0], t.v[0, 0]),
        "rank 5": lambda t: F.scaled_dot_product_attention(t.q[None], t.k[None], t.v[None]),
        "rank 5 masked": lambda t: F.scaled_dot_product_attention(
            t.q[None], t.k[None], t.v[None], t.mask
        ),
        "shared keys": lambda t: F.scaled_dot_product_attention(t.q, t.k[:1], t.v[:1]),
        "heads from channels": lambda t: (
            F.scaled_dot_product_attention(
                t.tokens.view(2, 7, 3, 8).transpose(1, 2),
                t.tokens.view(2, 7, 3, 8).transpose(1, 2),
                t.tokens.view(2, 7, 3, 8).transpose(1, 2),
            )
            .transpose(1, 2)
            .reshape(2, 7, 24)
            + t.q[0, 0, 0, 0]
        ),
        "by hand": lambda t: (t.q @ t.k.mT * 8**-0.5).masked_fill(~t.keys, -inf).softmax(-1) @ t.v,
    },
    {"table": rand(3, 5, 9), "tokens": rand(2, 7, 24)},
    vulkan=True,
)

# ----------------------------------------------------------------------------------- 16-bit floats


def _half_cases() -> dict[str, Case]:
    return {
        "arithmetic": lambda t: (t.x * 1.5 - 0.25) / (t.x.abs() + 1),
        "gelu": lambda t: F.gelu(t.x),
        "gelu tanh": lambda t: F.gelu(t.x, approximate="tanh"),
        "silu": lambda t: F.silu(t.x),
        "mish": lambda t: F.mish(t.x),
        "softplus": lambda t: F.softplus(t.x),
        "hardswish": lambda t: F.hardswish(t.x),
        "elu": lambda t: F.elu(t.x),
        "exp": lambda t: t.x.exp(),
        "tanh": lambda t: t.x.tanh(),
        "sigmoid": lambda t: t.x.sigmoid(),
        "pow": lambda t: t.x.abs() ** 1.5,
        "rsqrt": lambda t: (t.x.abs() + 0.5).rsqrt(),
        "remainder": lambda t: t.exact % 3,
        "div floor": lambda t: t.exact // 3,
        "to float": lambda t: t.x.float(),
        "round trip": lambda t: t.x.float().exp().to(t.x.dtype),
        "to bool": lambda t: (t.x > 0.5).to(t.x.dtype),
        "clamp": lambda t: t.x.clamp(-0.5, 0.5),
        "where": lambda t: torch.where(t.x > 0, t.x, -1.0),
        "softmax": lambda t: t.x.softmax(-1),
        "log_softmax": lambda t: t.x.log_softmax(1),
        "softmax in float": lambda t: t.x.softmax(-1, dtype=torch.float32).to(t.x.dtype),
        "sum": lambda t: t.x.sum(1),
        "sum in float": lambda t: t.x.sum(1, dtype=torch.float32),
        "mean": lambda t: t.big.mean(-1),
        "amax": lambda t: t.x.amax(-1),
        "var": lambda t: t.big.var(-1),
        "std": lambda t: t.big.std(-1),
        "var_mean": lambda t: tuple(torch.var_mean(t.big, -1)),
        "norm": lambda t: torch.linalg.vector_norm(t.big, dim=-1),
        "layer_norm": lambda t: F.layer_norm(t.big, (300,)),
        "layer_norm affine": lambda t: F.layer_norm(t.tokens, (24,), t.g, t.b),
        "rms_norm": lambda t: F.rms_norm(t.tokens, (24,), t.g),
        "rms by hand": lambda t: (
            t.g
            * (
                t.tokens.float()
                * torch.rsqrt(t.tokens.float().pow(2).mean(-1, keepdim=True) + 1e-6)
            ).to(t.g.dtype)
        ),
        "group_norm": lambda t: F.group_norm(t.x, 4, t.g, t.b),
        "batch_norm": lambda t: F.batch_norm(t.x, t.m, t.v, t.g, t.b),
        "linear": lambda t: F.linear(t.tokens, t.w, t.b40),
        "matmul": lambda t: t.tokens @ t.tokens.mT,
        "matmul vector": lambda t: t.tokens @ t.g,
        "addmm": lambda t: torch.addmm(t.b40, t.tokens[0], t.w.mT, beta=0.5),
        "conv": lambda t: F.conv2d(t.x, t.k3, padding=1),
        "conv patch": lambda t: F.conv2d(t.x, t.k3, stride=3),
        "conv 1x1 bias": lambda t: F.conv2d(t.x, t.w[..., None, None], t.b40),
        "depthwise": lambda t: F.conv2d(t.x, t.d3, t.b, padding=1, groups=24),
        "grouped": lambda t: F.conv2d(t.x, t.k3[:8, :6], padding=1, groups=4),
        "max_pool": lambda t: F.max_pool2d(t.x, 3, 2, 1),
        "avg_pool": lambda t: F.avg_pool2d(t.x, 2),
        "avg_pool uncounted": lambda t: F.avg_pool2d(t.x, 3, 2, 1, count_include_pad=False),
        "adaptive": lambda t: F.adaptive_avg_pool2d(t.x, 1),
        "attention": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q),
        "attention causal": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q, is_causal=True),
        "attention masked": lambda t: F.scaled_dot_product_attention(t.q, t.q, t.q, t.q @ t.q.mT),
        "permute": lambda t: t.x.permute(0, 2, 3, 1),
        "pad": lambda t: F.pad(t.x, (1, 0, 2, 1), value=0.5),
        "cat": lambda t: torch.cat([t.x, t.x[:, :1]], 1),
        "cat with float": lambda t: torch.cat([t.g, t.g.float()]),
        "roll": lambda t: t.x.roll((1, 2), (2, 3)),
        "embedding": lambda t: F.embedding(t.i, t.w),
        "index": lambda t: t.x[:, t.i],
        "int": lambda t: t.exact.long(),
        "of int": lambda t: t.i.to(t.x.dtype) * 0.5,
    }


_HALF_ON_VULKAN = frozenset(
    [
        "gelu",
        "softplus",
        "exp",
        "remainder",
        "round trip",
        "softmax",
        "log_softmax",
        "sum",
        "mean",
        "var",
        "norm",
        "layer_norm affine",
        "rms by hand",
        "group_norm",
        "linear",
        "matmul",
        "conv",
        "conv patch",
        "depthwise",
        "grouped",
        "max_pool",
        "avg_pool uncounted",
        "attention causal",
        "attention masked",
        "pad",
        "roll",
        "embedding",
    ]
)


def _half_family(dtype: torch.dtype, vulkan: bool | frozenset[str]) -> Family:
    inputs = {
        "x": rand(2, 24, 6, 7),
        "big": rand(3, 300, scale=20),
        "tokens": rand(2, 7, 24),
        "q": rand(2, 3, 5, 8),
        "exact": ints(4, 5, low=-20, high=20).float(),
        "i": ints(3, low=0, high=24),
    }
    constants = {
        "g": rand(24),
        "b": rand(24),
        "m": rand(24),
        "v": rand(24).abs() + 0.1,
        "w": rand(40, 24),
        "b40": rand(40),
        "k3": rand(16, 24, 3, 3, scale=0.1),
        "d3": rand(24, 1, 3, 3),
    }

    def halved(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
        return {n: t.to(dtype) if t.is_floating_point() else t for n, t in tensors.items()}

    return Family(
        halved(inputs), _half_cases(), halved(constants), vulkan, tolerance=5e-3, half=dtype
    )


FAMILIES["float16"] = _half_family(torch.float16, _HALF_ON_VULKAN)
FAMILIES["bfloat16"] = _half_family(torch.bfloat16, False)
