"""Our executor beside IREE's runtime: the same bits, on software Vulkan."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from smartmem.benchmarks.executor import count
from smartmem.benchmarks.models import suite
from smartmem.compiler import compile_model
from smartmem.errors import UserError
from smartmem.passes.iree.cache import Cache
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.schedule import decode
from smartmem.runtime.session import load
from smartmem.verify import verify

pytestmark = [
    pytest.mark.vulkan,
    pytest.mark.native,
]

TARGET = "llvmpipe"
# Convolutions with fills and copies; attention over windows, with sums over subgroups.
MODELS = {"mobilenet-v2": "texel", "swin-tiny": "image"}
LAYERS = "VK_LAYER_KHRONOS_validation"


class Net(nn.Module):
    """Weights, a pad, a reduction over subgroups, positions that IREE computes once, several
    results, and an argument twice used.
    """

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)
        self.mix = nn.Conv2d(8, 8, 1)
        self.linear = nn.Linear(128, 10)

    def forward(self, image: Tensor, shift: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        mixed = torch.relu(self.mix(torch.relu(self.conv(image))))
        pooled = nn.functional.avg_pool2d(mixed, 2)
        scores = self.linear(pooled.flatten(1))
        chosen = scores[torch.arange(1), shift.argmax(-1)]
        return scores.softmax(-1), scores + shift, chosen


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, ...]:
    generator = torch.Generator().manual_seed(0)
    return (torch.randn(1, 3, 8, 8, generator=generator), torch.randn(1, 10, generator=generator))


@pytest.fixture(scope="module")
def net() -> Net:
    torch.manual_seed(0)
    return Net().eval()


@pytest.fixture(scope="module", params=["buffer", "image"])
def bundle(net: Net, inputs: Any, tmp_path_factory: pytest.TempPathFactory, request: Any) -> Path:
    path = tmp_path_factory.mktemp("executor") / "net.smartmem"
    made = compile_model(
        net, inputs, targets=(TARGET,), out=path, cache=Cache(None), storage=request.param
    )
    storage = made.reports[TARGET]["storage"]
    assert storage["weights"] == request.param
    if request.param == "image":
        assert storage["image_bytes"] > 0 < storage["texel_bytes"]
        assert storage["image_bytes"] + storage["texel_bytes"] == storage["of_bytes"]
        assert storage["kept_as_buffers"] == {}
        assert storage["activation_texel_bytes"] > 0
        # What the first convolution writes, and the second reads.
        assert storage["activation_image_bytes"] >= 8 * 8 * 8 * 4
    return made.path


def test_the_same_bits_as_iree(bundle: Path, inputs: tuple[Tensor, ...]) -> None:
    ours = load(bundle, TARGET, executor="smartmem")
    stock = load(bundle, TARGET, executor="iree")
    assert (ours.executor, stock.executor) == ("smartmem", "iree")
    results = stock(*inputs)
    for _ in range(200):
        for found, wanted in zip(ours(*inputs), results, strict=True):
            assert torch.equal(found, wanted)


def test_the_same_as_eager(net: Net, bundle: Path, inputs: tuple[Tensor, ...]) -> None:
    verify(load(bundle, TARGET, executor="smartmem"), net, inputs).raise_on_mismatch()


def test_the_manifest_says_what_kernels_need(bundle: Path) -> None:
    session = load(bundle, TARGET)
    needs = session.manifest.targets[TARGET].needs
    assert (needs["vulkan"], needs["extensions"]) == ("1.1", ["VK_KHR_timeline_semaphore"])
    # The classifier sums over subgroups, of the size that the target states.
    assert "arithmetic" in needs["subgroup_operations"]
    assert needs["subgroup_sizes"] == [8]
    assert needs["features"] == []
    assert needs["storage_buffers"] + len(needs["texel_formats"]) >= 3


def test_what_is_computed_once_is_set_up(bundle: Path) -> None:
    held = decode(Bundle.open(bundle).schedule(TARGET).read_bytes())
    assert held.setup


def test_auto_is_ours_where_it_can_run(bundle: Path) -> None:
    assert load(bundle, TARGET).executor == "smartmem"


def assert_the_same_bits(name: str, storage: Any, folder: Path, repeats: int) -> None:
    """The model of tiny size gives what IREE's runtime gives, and gives it again and again."""
    model, inputs = suite.build(f"{name}/tiny")
    path = folder / "model.smartmem"
    made = compile_model(model, inputs, targets=(TARGET,), out=path, storage=storage)
    assert made.reports[TARGET]["unschedulable"] == ""
    arrays = [tensor.numpy() for tensor in inputs]
    ours = load(made.path, TARGET, executor="smartmem")
    first = ours.run_flat(arrays)
    wanted = load(made.path, TARGET, executor="iree").run_flat(arrays)
    assert all(map(np.array_equal, first, wanted))
    for _ in range(repeats):
        assert all(map(np.array_equal, ours.run_flat(arrays), first))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "storage"), MODELS.items())
def test_models_give_the_same_bits(name: str, storage: Any, tmp_path: Path) -> None:
    assert_the_same_bits(name, storage, tmp_path, repeats=20)


@pytest.mark.nightly
@pytest.mark.parametrize("storage", ["buffer", "image", "texel"])
@pytest.mark.parametrize("name", suite.names())
def test_every_model_gives_the_same_bits(name: str, storage: Any, tmp_path: Path) -> None:
    assert_the_same_bits(name, storage, tmp_path, repeats=1)


@pytest.mark.nightly
@pytest.mark.parametrize("name", ["swin-tiny", "vit", "convnext-tiny", "cswin"])
def test_weights_of_full_models_are_whole_texels(name: str) -> None:
    """Nine tenths of the bytes are texels, and nine tenths of those are fetched four lanes at a
    time without a division in a loop.
    """
    found = count(f"{name}/full", "adreno")
    textures = found["image_bytes"] + found["texel_bytes"]
    assert textures >= 0.9 * found["of_bytes"]
    assert found["whole_texel_bytes"] >= 0.9 * textures


def test_sessions_in_threads_do_not_disturb_each_other(bundle: Path) -> None:
    generator = np.random.default_rng(0)
    arguments = [
        [generator.standard_normal(shape, np.float32) for shape in ((1, 3, 8, 8), (1, 10))]
        for _ in range(4)
    ]
    wanted = [load(bundle, TARGET, executor="iree").run_flat(pair) for pair in arguments]
    wrong: list[int] = []

    def work(number: int) -> None:
        session = load(bundle, TARGET, executor="smartmem")
        for _ in range(25):
            found = session.run_flat(arguments[number])
            if not all(map(np.array_equal, found, wanted[number])):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_times_and_stats(bundle: Path, inputs: tuple[Tensor, ...]) -> None:
    session = load(bundle, TARGET, executor="smartmem")
    module: Any = session.module
    session(*inputs)
    stats = module.stats()
    assert stats["kernels"] == len(list((bundle / "targets" / TARGET / "kernels").iterdir()))
    assert 0 < stats["barriers"] < stats["commands"]
    assert module.times()["gpu_ms"] > 0
    profile = module.profile()
    assert len(profile) == stats["commands"]
    assert all(time_ns > 0 for time_ns in profile)


def test_a_damaged_kernel_is_told(bundle: Path, tmp_path: Path) -> None:
    copied = tmp_path / "net.smartmem"
    shutil.copytree(bundle, copied)
    kernel = copied / "targets" / TARGET / "kernels" / "000.spv"
    code = kernel.read_bytes()
    kernel.write_bytes(code[:-4] + bytes(4))
    with pytest.raises(UserError, match="its hash differs from the schedule's"):
        load(copied, TARGET)
    kernel.unlink()
    with pytest.raises(UserError, match="No such file"):
        load(copied, TARGET)


def test_pipelines_are_kept_on_disk(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTMEM_CACHE", str(tmp_path))
    monkeypatch.setattr("smartmem.runtime.executor._CACHED_MODELS", 3)

    def hit() -> bool:
        module: Any = load(bundle, TARGET, executor="smartmem").module
        return bool(module.stats()["cache_hit"])

    assert (hit(), hit()) == (False, True)
    (kept,) = (tmp_path / "pipelines").iterdir()
    content = kept.read_bytes()
    kept.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert (hit(), hit()) == (False, True), "damage is found, and mended"
    for number in range(5):
        old = tmp_path / "pipelines" / f"{number}.pipelines"
        old.touch()
        os.utime(old, (number, number))
    assert hit()
    assert {file.name for file in (tmp_path / "pipelines").iterdir()} == {
        kept.name,
        "3.pipelines",
        "4.pipelines",
    }


def test_a_closed_session_is_told(bundle: Path, inputs: tuple[Tensor, ...]) -> None:
    session = load(bundle, TARGET, executor="smartmem")
    session.close()
    session.close()
    with pytest.raises(UserError, match="the model was closed"):
        session(*inputs)


def test_inputs_in_place(bundle: Path, inputs: tuple[Tensor, ...]) -> None:
    session = load(bundle, TARGET, executor="smartmem")
    wanted = session(*inputs)
    module: Any = session.module
    memory = module.input_memory()
    for target, tensor in zip(memory, inputs, strict=True):
        target[...] = 0
        target[...] = tensor.numpy()
    for found, want in zip(session.run_flat(memory), wanted, strict=True):
        assert np.array_equal(found, want.numpy())
    shared = torch.from_dlpack(memory[1])
    shared += 1
    first, second = inputs
    moved = session(first, second + 1)
    shared[...] = second + 1
    results = module.run_in_place()
    for found, want in zip(results, moved, strict=True):
        assert torch.equal(torch.from_dlpack(found), want)
    # Where they lie, and lie again.
    assert module.run_in_place()[0].ctypes.data == results[0].ctypes.data


@pytest.mark.spirv_val
def test_kernels_are_valid_for_vulkan_1_1(bundle: Path) -> None:
    for file in sorted((bundle / "targets" / TARGET / "kernels").iterdir()):
        done = subprocess.run(
            ["spirv-val", "--target-env", "vulkan1.1", str(file)], capture_output=True, text=True
        )
        assert done.returncode == 0, f"{file.name}: {done.stderr}"


_UNDER_LAYERS = """
import sys
import numpy as np
from smartmem.runtime.session import load
first = load(sys.argv[1], "llvmpipe", executor="smartmem")
arrays = [np.ones(spec.shape, spec.dtype) for spec in first.manifest.inputs]
for session in (first, load(sys.argv[1], "llvmpipe", executor="smartmem")):
    session.run_flat(arrays)
    session.run_flat(arrays)
    session.module.profile()
    session.module.times()
assert "VkLayer_khronos_validation" in open("/proc/self/maps").read(), "no layers"
"""


@pytest.mark.validation
def test_validation_layers_have_nothing_to_say(bundle: Path) -> None:
    environment = {
        **os.environ,
        "VK_INSTANCE_LAYERS": LAYERS,
        "VK_LAYER_ENABLES": "VK_VALIDATION_FEATURE_ENABLE_SYNCHRONIZATION_VALIDATION_EXT",
        "SMARTMEM_CACHE": "off",
    }
    command = [sys.executable, "-c", _UNDER_LAYERS, str(bundle)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class Unaligned(nn.Module):
    """A kernel that reads from the sixteenth number of what another wrote."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(5, 7)

    def forward(self, x: Tensor) -> Tensor:
        return self.linear(torch.cat([x, x + 1])[3:])


def test_ranges_that_a_device_cannot_bind_are_left_to_iree(tmp_path: Path) -> None:
    """There the kernels bind whole resources, which any device can."""
    torch.manual_seed(0)
    net, x = Unaligned().eval(), torch.randn(9, 5)
    made = compile_model(net, (x,), targets=(TARGET,), out=tmp_path / "net.smartmem")
    session = load(made.path, device=TARGET)
    assert session.executor == "iree"
    with torch.no_grad():
        assert (session(x) - net(x)).norm() <= 1e-5 * net(x).norm()
