"""Where a model comes from on the command line: a ``.pt2`` file, a Python callable, or the
benchmark suite.
"""

import importlib
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import torch

from smartmem.errors import SmartmemError, UserError
from smartmem.spelling import did_you_mean

_RETURNS = "(model, example_inputs) or (model, example_inputs, example_kwargs)"


class Source(NamedTuple):
    """A model and one call of it."""

    model: torch.nn.Module | torch.export.ExportedProgram
    example_inputs: tuple[Any, ...]
    example_kwargs: dict[str, Any]


def load_source(spec: str) -> Source:
    """The model that ``spec`` names, and inputs of the shapes to compile for.

    ``path/model.pt2`` is a saved ExportedProgram with its example inputs;
    ``package.module:callable`` is called without arguments and returns (module, inputs), or
    (module, inputs, keyword arguments);
    ``suite:NAME`` is a model of ``benchmarks/models``. Raises UserError.
    """
    if spec.startswith("suite:"):
        from smartmem.benchmarks.models import suite

        return Source(*suite.build(spec.removeprefix("suite:")), {})
    if spec.endswith(".pt2"):
        return _saved(Path(spec))
    module, colon, name = spec.partition(":")
    if not colon or not module or not name:
        raise UserError(
            f"'{spec}' names no model", hint="Give a .pt2 file, module:callable, or suite:NAME."
        )
    return _checked(spec, _attribute(spec, module, name))


def named_callable(spec: str) -> Callable[..., Any]:
    """What ``package.module:callable`` names. Raises UserError where there is no such thing."""
    module, colon, name = spec.partition(":")
    if not colon or not module or not name:
        raise UserError(f"'{spec}' names no callable", hint="Give module:callable.")
    return _attribute(spec, module, name)


def _saved(path: Path) -> Source:
    if not path.is_file():
        raise UserError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}")
    # Here, because torch's reader of archives takes a second to import.
    from smartmem.frontend.archive import load_archive

    program = load_archive(path)
    if program.example_inputs is None:
        raise UserError(
            f"{path}: saved without example inputs", hint="Export it again with torch 2.13."
        )
    args, kwargs = program.example_inputs
    return Source(program, tuple(args), dict(kwargs))


def _attribute(spec: str, module: str, name: str) -> Callable[[], Any]:
    """The callable; the working folder is importable, as for ``python -m``."""
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = importlib.import_module(module)
    except (Exception, SystemExit) as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name
        if missing and (module == missing or module.startswith(f"{missing}.")):
            raise UserError(
                f"'{spec}': no module '{missing}' in the working folder or installed"
            ) from error
        raise _raised(f"importing '{module}'", error) from error
    if not hasattr(found, name):
        raise UserError(f"'{spec}': module '{module}' has no '{name}'.{_nearest(name, found)}")
    value = getattr(found, name)
    if not callable(value):
        raise UserError(
            f"'{spec}' is of type {type(value).__name__}, not a function returning (model, inputs)"
        )
    return value


def _nearest(name: str, module: ModuleType) -> str:
    return did_you_mean(name, [word for word, value in vars(module).items() if callable(value)])


def _raised(doing: str, error: BaseException) -> UserError:
    """What the user's own code raised, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    at = f" at {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return UserError(
        f"{doing} raised {type(error).__name__}: {error}{at}",
        hint="SMARTMEM_DEBUG=1 shows the whole trace.",
    )


def _checked(spec: str, build: Callable[[], Any]) -> Source:
    try:
        result = build()
    except SmartmemError:
        raise
    except (Exception, SystemExit) as error:
        raise _raised(f"'{spec}'", error) from error
    if not isinstance(result, tuple) or len(result) not in (2, 3):
        raise UserError(f"'{spec}' must return {_RETURNS}, got {type(result).__name__}")
    model, inputs, kwargs = (*result, {})[:3]
    if not isinstance(kwargs, dict):
        raise UserError(
            f"'{spec}' must return a dict of keyword arguments third, got {type(kwargs).__name__}"
        )
    if not isinstance(model, (torch.nn.Module, torch.export.ExportedProgram)):
        raise UserError(f"'{spec}' must return a torch.nn.Module first, got {type(model).__name__}")
    return Source(model, inputs if isinstance(inputs, tuple) else (inputs,), kwargs)
