"""Compiling and loading for the end-to-end tests, with one cache of IREE output per session."""

from collections.abc import Callable
from typing import Any

import pytest

Compile = Callable[..., Any]


@pytest.fixture(scope="session")
def compile_and_load(tmp_path_factory: pytest.TempPathFactory) -> Compile:
    """``compile_and_load(source, args, kwargs=None, target="cpu")``: a session on the target."""
    from smartmem.compiler import compile_model
    from smartmem.passes.iree.cache import Cache
    from smartmem.runtime.session import load

    cache = Cache(tmp_path_factory.mktemp("iree"))

    def run(source: Any, args: tuple[Any, ...], kwargs: Any = None, *, target: str = "cpu") -> Any:
        path = tmp_path_factory.mktemp("bundle") / "net.smartmem"
        compile_model(source, args, kwargs, targets=(target,), out=path, cache=cache)
        return load(path, device=target)

    return run
