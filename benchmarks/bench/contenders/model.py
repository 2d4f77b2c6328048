"""The PyTorch model that contenders start from."""

from typing import TYPE_CHECKING

import numpy as np

from smartmem.benchmarks.bench.recipe import RECIPE, STATE, Recipe
from smartmem.benchmarks.bench.task import Task

if TYPE_CHECKING:
    import torch


def model_of(task: Task) -> "tuple[torch.nn.Module, tuple[torch.Tensor, ...]]":
    """The suite's model and inputs; in a bundle, with the weights that its recipe draws."""
    from smartmem.benchmarks.models import suite

    model, inputs = suite.build(task.spec)
    if (task.folder / RECIPE).is_file():
        _take_weights(model, task)
    return model, inputs


def _take_weights(model: "torch.nn.Module", task: Task) -> None:
    import torch

    recipe = Recipe.read(task.folder)
    with np.load(task.folder / STATE, allow_pickle=False) as kept:
        state = {name: torch.from_numpy(kept[name]) for name in kept.files}
    for name, drawn in recipe.drawn.items():
        state[name] = torch.from_numpy(drawn.draw())
    model.load_state_dict(state)
