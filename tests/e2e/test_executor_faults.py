"""Our executor where Vulkan fails: each call that may fail does, once, and nothing is left behind.

Also where a device has memory of its own: software Vulkan has not, but can be told to say so.
"""

import ctypes
import gc
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import nn

from smartmem.compiler import compile_model
from smartmem.errors import DeviceError
from smartmem.runtime import native_api
from smartmem.runtime.executor import ExecutorModule
from smartmem.runtime.session import load

pytestmark = [
    pytest.mark.vulkan,
    pytest.mark.native,
    pytest.mark.cxx,
]
TARGET = "llvmpipe"
LAYERS = {
    "VK_INSTANCE_LAYERS": "VK_LAYER_KHRONOS_validation",
    "VK_LAYER_ENABLES": "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
}
LOST, OUT_OF_DEVICE_MEMORY = -4, -2
MESSAGES = {LOST: "the device was lost while", OUT_OF_DEVICE_MEMORY: "out of device memory while"}


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("faults")
    torch.manual_seed(0)
    # Small: software Vulkan builds its kernels anew in each of many attempts.
    net = nn.Sequential(nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 8)).eval()
    path = folder / "net.smartmem"
    return compile_model(
        net, (torch.randn(4, 16),), targets=(TARGET,), out=path, storage="image"
    ).path


@pytest.fixture(scope="module")
def faulty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ctypes.CDLL]:
    """Vulkan with faults, between the executor and the system's."""
    source = Path(__file__).parents[1] / "native" / "faulty_vulkan.cpp"
    library = tmp_path_factory.mktemp("native") / "faulty.so"
    command = ["g++", "-std=c++17", "-shared", "-fPIC", source, "-o", library, "-ldl"]
    subprocess.run(command, check=True)
    loaded = ctypes.CDLL(str(library))
    loaded.faulty_arm.argtypes = [ctypes.c_long, ctypes.c_int]
    loaded.faulty_live_objects.restype = ctypes.c_long
    gc.collect()
    set_vulkan = native_api.library().sm_set_vulkan
    set_vulkan.argtypes = [ctypes.c_void_p]
    set_vulkan(ctypes.cast(loaded.faulty_get_instance_proc_addr, ctypes.c_void_p))
    yield loaded
    set_vulkan(None)


# More than one layer takes, and less than both.
BUDGET = "75%"


def attempt(bundle: Path, budget: str | None = None) -> torch.Tensor:
    session = load(bundle, TARGET, executor="smartmem", budget=budget)
    # Where weights stream, the second call begins with what was read ahead.
    session(torch.ones(4, 16))
    return session(torch.ones(4, 16))


def test_a_device_with_memory_of_its_own(faulty: ctypes.CDLL, bundle: Path) -> None:
    """Inputs and weights go through staging, results come back by a copy."""
    wanted = load(bundle, TARGET, executor="iree")(torch.ones(4, 16))
    for budget in (None, BUDGET, "100%"):
        assert torch.equal(attempt(bundle, budget), wanted)
    gc.collect()
    assert faulty.faulty_live_objects() == 0


def test_a_device_that_copies_beside_kernels(faulty: ctypes.CDLL, bundle: Path) -> None:
    """With a queue for copies only, of a family of its own."""
    wanted = load(bundle, TARGET, executor="iree")(torch.ones(4, 16))
    gc.collect()
    faulty.faulty_split_queues(1)
    try:
        session = load(bundle, TARGET, executor="smartmem", budget=BUDGET)
        for _ in range(3):
            assert torch.equal(session(torch.ones(4, 16)), wanted)
        module = session.module
        assert isinstance(module, ExecutorModule)
        assert module.stream_stats()["copies"] == "on a queue of their own"
        assert "step" in {interval.kind for interval in module.intervals()}
        del session, module
        gc.collect()
    finally:
        faulty.faulty_split_queues(0)
    assert faulty.faulty_live_objects() == 0


def test_memory_that_another_budget_does_not_get(faulty: ctypes.CDLL, bundle: Path) -> None:
    """The session tells so until it gets a budget that there is memory for."""
    session = load(bundle, TARGET, executor="smartmem", budget=BUDGET)
    wanted = session(torch.ones(4, 16))
    # The first are waits for what is let go.
    for calls in (3, 5, 8):
        faulty.faulty_arm(calls, OUT_OF_DEVICE_MEMORY)
        with pytest.raises(DeviceError, match="out of device memory"):
            session.set_budget("90%")
        faulty.faulty_arm(-1, 0)
        with pytest.raises(DeviceError, match="could not be set; set one"):
            session(torch.ones(4, 16))
        session.set_budget("100%")
        assert torch.equal(session(torch.ones(4, 16)), wanted)
    del session
    gc.collect()
    assert faulty.faulty_live_objects() == 0


# Losing the device takes the same ways out as running out of memory: every seventh call will do.
@pytest.mark.slow
@pytest.mark.parametrize("budget", [None, BUDGET])
@pytest.mark.parametrize(("code", "step"), [(OUT_OF_DEVICE_MEMORY, 1), (LOST, 7)])
def test_each_call_fails_once(
    faulty: ctypes.CDLL, bundle: Path, code: int, step: int, budget: str | None
) -> None:
    wanted = attempt(bundle, budget)
    failures = 0
    while True:
        faulty.faulty_arm(failures, code)
        try:
            attempt(bundle, budget)
        except DeviceError as error:
            assert MESSAGES[code] in str(error)
        gc.collect()
        assert faulty.faulty_live_objects() == 0, f"call {failures} leaks"
        if not faulty.faulty_has_failed():
            break
        failures += step
    faulty.faulty_arm(-1, 0)
    # Memory, buffers, pools, layouts, pipelines, submissions and waits among them.
    assert failures > 20
    assert torch.equal(attempt(bundle, budget), wanted)


_UNDER_LAYERS = """
import ctypes
import gc
import sys
import numpy as np
from smartmem.runtime import native_api
from smartmem.runtime.session import load
faulty = ctypes.CDLL(sys.argv[1])
set_vulkan = native_api.library().sm_set_vulkan
set_vulkan.argtypes = [ctypes.c_void_p]
set_vulkan(ctypes.cast(faulty.faulty_get_instance_proc_addr, ctypes.c_void_p))
for queues, budget in ((0, None), (0, "75%"), (0, "100%"), (1, None), (1, "75%")):
    faulty.faulty_split_queues(queues)
    session = load(sys.argv[2], "llvmpipe", executor="smartmem", budget=budget)
    for _ in range(3):
        session.run_flat([np.ones((4, 16), np.float32)])
    session.module.profile()
    if budget is not None:
        how = "on a queue of their own" if queues else "between kernels"
        assert session.module.stream_stats()["copies"] == how
        assert session.module.intervals()
        session.set_budget("80%")
        session.run_flat([np.ones((4, 16), np.float32)])
    del session
    gc.collect()
"""


def test_staging_is_valid(faulty: ctypes.CDLL, bundle: Path) -> None:
    environment = {**os.environ, **LAYERS, "SMARTMEM_CACHE": "off"}
    command = [sys.executable, "-c", _UNDER_LAYERS, faulty._name, str(bundle)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
