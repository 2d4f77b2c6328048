"""Samples that draw random numbers or write to their inputs: through ``torch.compile``, strict.

They are no functions of their inputs, as what is compiled ahead of time has to be. So a batch is
called as eager is: from the same seed, on copies of the same tensors; and what it leaves in these
is compared like its results.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest import mock

import torch
from torch.testing._internal import common_methods_invocations as database

from smartmem.benchmarks.operators.samples import SEED, Batch, Sample


def _unseeded(op: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
    return op(*args, **kwargs)


@contextmanager
def _seeded() -> Iterator[None]:
    """Numbers are drawn from our seed; the database sets none of its own, call by call."""
    with mock.patch.object(database, "wrapper_set_seed", _unseeded), torch.random.fork_rng([]):
        torch.manual_seed(SEED)
        yield


def _called(call: Callable[..., list[Any]], given: Sequence[Sample]) -> list[Any]:
    """The results of each sample, and its tensors as the call left them."""
    tensors = [copy.deepcopy(one.tensors()) for one in given]
    with _seeded(), torch.no_grad():
        results = call(*(tensor for own in tensors for tensor in own))
    return list(zip(results, tensors, strict=True))


def run(samples: Sequence[Sample], target: str) -> list[tuple[Any, Any]]:
    """What eager makes of each of the samples, called one after the other, and what we make."""
    batch = Batch(samples).eval()
    torch._dynamo.reset()
    options = {"device": target, "strict": True}
    compiled = torch.compile(batch, backend="smartmem", fullgraph=True, options=options)
    expected = _called(batch, samples)
    return list(zip(expected, _called(compiled, samples), strict=True))
