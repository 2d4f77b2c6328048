"""Our kernel configurations never cost a user the compile."""

import pytest
from unit.passes.iree.test_configure import contraction

from smartmem.errors import CompileError
from smartmem.passes.iree import driver
from smartmem.passes.iree.cache import Cache
from smartmem.passes.target import known_targets

TARGET = known_targets()["nvidia"]


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stream IR that was asked for; iree-compile refuses all that has our configurations."""
    asked: list[str] = []

    def compile_executables(stream_ir: str, *_: object, **__: object) -> driver.Module:
        asked.append(stream_ir)
        if "compilation_info" in stream_ir:
            raise CompileError("no such tiles")
        return driver.Module(b"vmfb")

    monkeypatch.setattr(driver, "compile_stream", lambda lowered, *_: lowered)
    monkeypatch.setattr(driver, "compile_executables", compile_executables)
    return asked


def test_where_iree_refuses_our_kernels_it_chooses_itself(
    built: list[str], caplog: pytest.LogCaptureFixture
) -> None:
    made = driver.compile_module(contraction(), TARGET, Cache(None))
    assert (made.module.vmfb, made.kernels) == (b"vmfb", {})
    assert ["compilation_info" in text for text in built] == [True, False]
    assert "no such tiles" in caplog.text


def test_other_failures_are_the_users_to_see(
    built: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise CompileError("out of luck")

    monkeypatch.setattr(driver, "compile_executables", refuse)
    with pytest.raises(CompileError, match="out of luck"):
        driver.compile_module(contraction(), TARGET, Cache(None))
    assert not built
