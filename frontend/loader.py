"""Where a model comes from on the command line: a ``.pt2`` file, a Python callable, or the
benchmark suite.
"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from smartmem.errors import UserError

Source = tuple[torch.nn.Module | torch.export.ExportedProgram, tuple[Any, ...]]


def load_source(spec: str) -> Source:
    """The model that ``spec`` names, and inputs of the shapes to compile for.

    ``path/model.pt2`` is a saved ExportedProgram with its example inputs;
    ``package.module:callable`` is called without arguments and returns (module, inputs);
    ``suite:NAME`` is a model of ``benchmarks/models``. Raises UserError.
    """
    if spec.startswith("suite:"):
        from smartmem.benchmarks.models import suite

        return suite.build(spec.removeprefix("suite:"))
    if spec.endswith(".pt2"):
        return _saved(Path(spec))
    module, colon, name = spec.partition(":")
    if not colon or not module or not name:
        raise UserError(
            f"'{spec}' names no model", hint="Give a .pt2 file, module:callable, or suite:NAME."
        )
    return _checked(spec, _attribute(spec, module, name))


def _saved(path: Path) -> Source:
    if not path.is_file():
        raise UserError(f"{path}: no such file")
    try:
        program = torch.export.load(path)
    except Exception as error:
        raise UserError(f"{path}: torch.export.load cannot read it: {error}") from error
    if program.example_inputs is None:
        raise UserError(
            f"{path}: saved without example inputs", hint="Export it again with torch 2.13."
        )
    args, kwargs = program.example_inputs
    if kwargs:
        raise UserError(
            f"{path}: exported with keyword arguments {sorted(kwargs)}; pass them by position"
        )
    return program, tuple(args)


def _attribute(spec: str, module: str, name: str) -> Callable[[], Any]:
    """The callable; the working folder is importable, as for ``python -m``."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or not module.startswith(error.name):
            raise
        raise UserError(
            f"'{spec}': no module '{error.name}' in the working folder or installed"
        ) from error
    if not hasattr(found, name):
        raise UserError(f"'{spec}': module '{module}' has no '{name}'")
    return getattr(found, name)


def _checked(spec: str, build: Callable[[], Any]) -> Source:
    result = build()
    if not isinstance(result, tuple) or len(result) != 2:
        raise UserError(
            f"'{spec}' must return (model, example_inputs), got {type(result).__name__}"
        )
    model, inputs = result
    if not isinstance(model, (torch.nn.Module, torch.export.ExportedProgram)):
        raise UserError(f"'{spec}' must return a torch.nn.Module first, got {type(model).__name__}")
    return model, inputs if isinstance(inputs, tuple) else (inputs,)
