"""The sample inputs of PyTorch's operator database, each as a small model.

A sample is one call: every tensor in its arguments is an input of the model, with the strides it
has; all else is a constant. The samples of an entry are the same in every process.
"""

import copy
import random
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._pytree import TreeSpec, tree_flatten, tree_leaves, tree_unflatten

SEED = 20240607

# float32, or for the ops of integers alone the first of these that they take.
_DTYPES = (torch.float32, torch.int64, torch.bool)


@dataclass(frozen=True, order=True)
class SampleId:
    """The ``index``-th sample input of the entry ``op`` (``gelu``, ``max.binary``)."""

    op: str
    index: int


@dataclass(frozen=True)
class Sample:
    """One call of ``function``; ``leaves`` are its arguments flattened, the tensors among them."""

    function: Callable[..., Any]
    leaves: tuple[Any, ...]
    spec: TreeSpec

    def tensors(self) -> list[Tensor]:
        """The inputs of the model, in order."""
        return [leaf for leaf in self.leaves if isinstance(leaf, Tensor)]

    def call(self, tensors: Sequence[Tensor]) -> Any:
        """The call with other tensors in place of its own."""
        given = iter(tensors)
        leaves = [next(given) if isinstance(leaf, Tensor) else leaf for leaf in self.leaves]
        first, args, kwargs = tree_unflatten(leaves, self.spec)
        return self.function(first, *args, **kwargs)

    def eager(self) -> Any:
        """What PyTorch gives; the sample keeps its own tensors as they are."""
        return self._called(copy.deepcopy(self.tensors()))

    def is_function(self) -> bool:
        """Whether the call neither changes its inputs nor draws random numbers."""
        tensors = copy.deepcopy(self.tensors())
        first = self._called(tensors)
        if not all(map(_same, tensors, self.tensors())):
            return False
        # The database itself seeds most ops that draw.
        with _other_seeds():
            second = self.eager()
        return all(map(_same, _tensors(first), _tensors(second)))

    def _called(self, tensors: Sequence[Tensor]) -> Any:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return self.call(tensors)


@contextmanager
def _other_seeds() -> Iterator[None]:
    """Whoever seeds PyTorch gets another seed."""
    seed = torch.manual_seed
    with mock.patch.object(torch, "manual_seed", lambda given: seed(int(given) + 1)):
        yield


def _tensors(result: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(result) if isinstance(leaf, Tensor)]


def _same(a: Tensor, b: Tensor) -> bool:
    """Whether two tensors hold the same values, NaN equal to itself."""
    return a.shape == b.shape and bool(((a == b) | ((a != a) & (b != b))).all())


class _Call(nn.Module):
    def __init__(self, sample: Sample) -> None:
        super().__init__()
        self._sample = sample

    def forward(self, *tensors: Tensor) -> Any:
        return self._sample.call(tensors)


class Batch(nn.Module):
    """Several samples as one model: the list of their results.

    Each is a module of its own, so that an error's location tells which one it is (``owner``).
    """

    def __init__(self, samples: Sequence[Sample]) -> None:
        super().__init__()
        self.calls = nn.ModuleList(_Call(sample) for sample in samples)
        self._counts = [len(sample.tensors()) for sample in samples]

    def forward(self, *tensors: Tensor) -> list[Any]:
        results: list[Any] = []
        first = 0
        for call, count in zip(self.calls, self._counts, strict=True):
            results.append(call(*tensors[first : first + count]))
            first += count
        return results


@cache
def _entries() -> dict[str, Any]:
    """The database by name. Loads much of PyTorch's test code: a few seconds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from torch.testing._internal.common_methods_invocations import op_db

    return {entry.full_name: entry for entry in op_db}


def names() -> list[str]:
    """Every entry of the database, in its order."""
    return list(_entries())


def dtype_of(op: str) -> torch.dtype | None:
    """The type of the entry's samples here; None where it has none that we could take."""
    return next((dtype for dtype in _DTYPES if dtype in _entries()[op].dtypes), None)


def _seed() -> None:
    torch.manual_seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)


@lru_cache(maxsize=16)
def samples_of(op: str) -> tuple[Sample, ...]:
    """All sample inputs of an entry."""
    dtype = dtype_of(op)
    if dtype is None:
        return ()
    _seed()
    entry = _entries()[op]
    found: list[Sample] = []
    for given in entry.sample_inputs("cpu", dtype, requires_grad=False):
        arguments = (given.input, tuple(given.args), dict(given.kwargs))
        leaves, spec = tree_flatten(arguments)
        found.append(Sample(entry.op, tuple(leaves), spec))
    return tuple(found)


def sample(which: SampleId) -> Sample:
    """One sample input."""
    return samples_of(which.op)[which.index]


def spread(count: int, limit: int | None) -> list[int]:
    """``limit`` of ``count`` positions, evenly spaced, the first and the last among them."""
    if limit is None or count <= limit:
        return list(range(count))
    if limit == 1:
        return [0]
    return sorted({round(i * (count - 1) / (limit - 1)) for i in range(limit)})
