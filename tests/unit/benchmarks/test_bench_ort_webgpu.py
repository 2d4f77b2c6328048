"""ONNX Runtime on WebGPU: where there is none, or no device for it, it is never the CPU's time."""

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from smartmem.benchmarks.bench.contenders import ort, ort_webgpu
from smartmem.benchmarks.bench.task import Candidate, Task

CPU, WEBGPU = "CPUExecutionProvider", "WebGpuExecutionProvider"


class Session:
    """A session that got the providers ``given``."""

    given: tuple[str, ...] = ()

    def __init__(self, file: str, providers: list[str]) -> None:
        assert providers == [WEBGPU]

    def get_providers(self) -> list[str]:
        return list(self.given)

    def get_inputs(self) -> list[object]:
        return []


def runtime(monkeypatch: pytest.MonkeyPatch, *, has: list[str], gives: list[str]) -> None:
    """An onnxruntime that ``has`` these providers, and whose sessions get those it ``gives``."""
    session = type("_", (Session,), {"given": tuple(gives)})
    module = SimpleNamespace(get_available_providers=lambda: has, InferenceSession=session)
    monkeypatch.setitem(sys.modules, "onnxruntime", module)


def task(tmp_path: Path, kind: str) -> Task:
    return Task("net", "tiny", "generic", "vulkan", kind, tmp_path)


def test_without_webgpu_it_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime(monkeypatch, has=[CPU], gives=[])
    with pytest.raises(RuntimeError, match="pip install onnxruntime-webgpu"):
        ort_webgpu.build(task(tmp_path, "gpu"))
    with pytest.raises(RuntimeError, match="WebGPU is for GPUs"):
        ort_webgpu.build(task(tmp_path, "cpu"))


def test_with_webgpu_the_file_is_the_one_of_the_cpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime(monkeypatch, has=[WEBGPU, CPU], gives=[WEBGPU, CPU])
    monkeypatch.setattr(ort, "build_for", lambda task, runs_on: [Candidate("", runs_on=runs_on)])
    (candidate,) = ort_webgpu.build(task(tmp_path, "gpu"))
    assert candidate.runs_on == "onnxruntime webgpu"
    assert callable(ort_webgpu.load(task(tmp_path, "gpu"), candidate).run)


def test_what_falls_back_to_the_cpu_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runtime(monkeypatch, has=[WEBGPU, CPU], gives=[CPU])
    with pytest.raises(RuntimeError, match="no device that WebGPU can use"):
        ort_webgpu.load(task(tmp_path, "gpu"), Candidate(""))
