"""PyTorch as it is: on the CPU, or on CUDA where this PyTorch has it and a GPU is asked for.

Products are computed in full float32: TF32 is off. Inputs come from the host and outputs go back
there, as for every contender.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from smartmem.benchmarks.bench.arrays import save_cases
from smartmem.benchmarks.bench.contenders.model import model_of
from smartmem.benchmarks.bench.task import EXPECTED, INPUTS, Arrays, Candidate, Loaded, Task

if TYPE_CHECKING:
    import torch


def place(task: Task) -> str:
    """``cuda`` or ``cpu``."""
    import torch

    return "cuda" if task.kind == "gpu" and torch.cuda.is_available() else "cpu"


def build(task: Task) -> list[Candidate]:
    """Nothing to build."""
    return [Candidate("", runs_on=f"torch {place(task)}")]


def load(task: Task, candidate: Candidate) -> Loaded:
    """The model of the suite."""
    return loaded(placed_model(task), place(task))


def placed_model(task: Task) -> "torch.nn.Module":
    """The model where it is to run."""
    import torch

    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
    return model_of(task)[0].to(place(task))


def loaded(model: Any, where: str) -> Loaded:
    """``model`` as a function of host arrays. Copying an output back waits for the GPU."""
    import torch

    def run(arrays: Arrays) -> Arrays:
        with torch.no_grad():
            return _host(model(*(torch.from_numpy(np.asarray(a)).to(where) for a in arrays)))

    def device_bytes() -> int | None:
        return int(torch.cuda.max_memory_reserved()) if where == "cuda" else None

    return Loaded(run, device_bytes)


def _host(result: Any) -> Arrays:
    import torch
    from torch.utils import _pytree as pytree

    from smartmem.runtime.session import as_numpy

    return [as_numpy(leaf) for leaf in pytree.tree_leaves(result) if isinstance(leaf, torch.Tensor)]


def write_reference(
    model: "torch.nn.Module", inputs: Sequence["torch.Tensor"], folder: Path
) -> None:
    """Write two inputs, the given and a drawn one, and what ``model`` makes of them on the CPU."""
    import torch

    from smartmem.verify import verify_cases

    cases = [args for args, _ in verify_cases(inputs, None, seed=0)]
    with torch.no_grad():
        # The clones, because a model may write into its inputs.
        expected = [_host(model(*(tensor.clone() for tensor in case))) for case in cases]
    save_cases(folder / INPUTS, [[tensor.numpy() for tensor in case] for case in cases])
    save_cases(folder / EXPECTED, expected)
