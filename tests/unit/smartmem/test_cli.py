"""The command line on a small bundle: output, JSON, messages and exit codes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from smartmem.arrays import random_inputs
from smartmem.cli import output
from smartmem.cli.compile import check_target_names, default_output
from smartmem.cli.main import VERBS, main
from smartmem.cli.summary import report_lines
from smartmem.errors import UserError
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.bundle_writer import BundleWriter
from smartmem.runtime.manifest import TensorSpec
from smartmem.timings import remember

Capture = pytest.CaptureFixture[str]

MODULE = """
func.func @main(%x: tensor<4xf32>) -> tensor<4xf32> {
  %y = arith.addf %x, %x : tensor<4xf32>
  return %y : tensor<4xf32>
}
"""

MODEL = """
import torch

class Twice(torch.nn.Module):
    def forward(self, x):
        return x + x

class Thrice(torch.nn.Module):
    def forward(self, x):
        return x * 3

def twice():
    return Twice(), (torch.arange(4.0),)

def thrice():
    return Thrice(), (torch.arange(4.0),)
"""


def move(op: str, at: str, fate: str, reason: str) -> dict[str, Any]:
    """A row of a report's transformations."""
    sizes = {"bytes_before": 32, "bytes_after": 32 if fate == "kept" else 0}
    return {"op": op, "at": at, "fate": fate, "reason": reason, "added": False, **sizes}


REPORT = {
    "graph_ops": 1,
    "layout_ops_in_graph": 0,
    "dispatches": 1,
    "layout_dispatches": 0,
    "layout_bytes": 0,
    "total_bytes": 32,
    "weights_bytes": 0,
    "peak_transient_bytes": 0,
    "table": [
        {
            "name": "main_dispatch_0_transpose",
            "kind": "layout",
            "location": "m.py:8",
            "read_bytes": 16,
            "written_bytes": 16,
            "calls": 1,
        },
        {"name": "main_dispatch_1", "kind": "compute", "location": "m.py:9"},
    ],
    "transformations": [
        move("transpose", "m.py:8 (head)", "kept", "asked for"),
        move("slice", "m.py:9", "folded", "read in place"),
        move("slice", "m.py:9", "folded", "read in place"),
        move("reshape", "m.py:9", "removed", "one index map"),
    ],
}

TENSORS = [
    {
        "op": "conv",
        "at": "m.py:8 (head)",
        "shape": [1, 3],
        "element": "f32",
        "layout": [1, 0],
        "storage": "buffer",
        "class": "ILD-Variable, Many-to-Many",
    }
]


FUSION = [
    {
        "from": "contract",
        "from_at": "net.py:12 (layers.0)",
        "to": "softmax",
        "to_at": "net.py:13 (layers.0)",
        "types": ["Many-to-Many", "Many-to-Many"],
        "colour": "red",
        "one_kernel": False,
        "reason": "never",
    }
]


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A compiled model that doubles four floats."""
    folder = tmp_path_factory.mktemp("cli")
    (folder / "m.mlir").write_text(MODULE, encoding="utf-8")
    subprocess.run(
        [
            Path(sys.executable).with_name("iree-compile"),
            folder / "m.mlir",
            "--iree-hal-target-device=local",
            "--iree-hal-local-target-device-backends=llvm-cpu",
            "--iree-llvmcpu-target-cpu=host",
            f"-o={folder / 'm.vmfb'}",
        ],
        check=True,
    )
    leaf = {"kind": "tensor", "index": 0}
    with BundleWriter(folder / "m.smartmem") as writer:
        writer.add_target(
            "cpu",
            kind="cpu",
            iree_target="host",
            vmfb=(folder / "m.vmfb").read_bytes(),
            plan={"layouts": TENSORS, "fusion": FUSION},
            report=REPORT,
        )
        writer.finish(
            inputs=[TensorSpec("x", (4,), "float32", "float32")],
            outputs=[TensorSpec("y", (4,), "float32", "float32")],
            input_tree={
                "kind": "tuple",
                "items": [
                    {"kind": "tuple", "items": [leaf]},
                    {"kind": "dict", "keys": [], "items": []},
                ],
            },
            output_tree=leaf,
            versions={},
            source={},
        )
    return folder / "m.smartmem"


def run_json(capsys: Capture, *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main([*arguments, "--json"])
    return code, json.loads(capsys.readouterr().out)


def test_help_names_every_verb(capsys: Capture) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {verb} " in text for verb in VERBS)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_has_help_and_json(capsys: Capture, verb: str) -> None:
    assert main([verb, "--help"]) == 0
    assert "--json" in capsys.readouterr().out


def test_run(capsys: Capture, bundle: Path) -> None:
    assert main(["run", str(bundle), "--device", "cpu", "--repeat", "3"]) == 0
    captured = capsys.readouterr()
    labels = [line.split()[0] for line in captured.out.splitlines()]
    assert labels == ["device", "target", "executor", "inputs", "cold", "warm", "y"]
    assert "running on cpu" in captured.err


def test_run_json_with_files(capsys: Capture, bundle: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.arange(4, dtype=np.float32))
    options = ["--input", str(tmp_path / "x.npy"), "--output-dir", str(tmp_path / "out")]
    code, data = run_json(capsys, "run", str(bundle), "--repeat", "2", *options)
    assert code == 0
    assert data["device"]["name"] == "cpu"
    assert len(data["warm_seconds"]) == 2
    assert data["outputs"] == [{"name": "y", "dtype": "float32", "shape": [4]}]
    assert np.load(data["files"][0]).tolist() == [0, 2, 4, 6]


def test_run_refuses_wrong_files(capsys: Capture, bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_text("no array", encoding="utf-8")
    file = str(tmp_path / "x.npy")
    assert main(["run", str(bundle), "--input", file]) == 1
    assert "x.npy: cannot be read as .npy" in capsys.readouterr().err
    assert main(["run", str(bundle), "--input", file, "--input", file]) == 1
    assert "takes 1 inputs (x), got 2 files" in capsys.readouterr().err


def test_stats(capsys: Capture, bundle: Path) -> None:
    code, data = run_json(capsys, "stats", str(bundle))
    assert (code, data["targets"]) == (0, {"cpu": {**REPORT, "compile_seconds": {}}})
    assert main(["stats", str(bundle), "--target", "cpuu"]) == 1
    assert "Did you mean 'cpu'?" in capsys.readouterr().err


def test_stats_knows_the_seconds_of_a_compile_on_this_machine(
    capsys: Capture, bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTMEM_CACHE", str(tmp_path))
    made = Bundle.open(bundle).manifest.targets["cpu"].sha256
    remember(made, {"iree": 0.5})
    remember(made, {"iree": 0.0})
    _, data = run_json(capsys, "stats", str(bundle))
    assert data["targets"]["cpu"]["compile_seconds"] == {"iree": 0.5}
    monkeypatch.setenv("SMARTMEM_CACHE", "off")
    _, data = run_json(capsys, "stats", str(bundle))
    assert data["targets"]["cpu"]["compile_seconds"] == {}


def test_report(capsys: Capture, bundle: Path) -> None:
    assert main(["report", str(bundle)]) == 0
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "kept transpose at m.py:8 (head) 32 B; asked for" in lines
    assert "folded 2 x slice at m.py:9 64 B; read in place" in lines
    assert "main_dispatch_0_transpose at m.py:8 32 B; asked for" in lines
    code, document = run_json(capsys, "report", str(bundle))
    assert code == 0
    sums = document["targets"]["cpu"]["sums"]
    counted = ("in_graph", "added", "kept", "folded", "removed", "bytes_before")
    assert [sums[key] for key in counted] == [4, 0, 1, 2, 1, 128]


@pytest.mark.parametrize("what", ["conv", "m.py:8", "head"])
def test_explain(capsys: Capture, bundle: Path, what: str) -> None:
    assert main(["explain", str(bundle), what]) == 0
    out = capsys.readouterr().out
    assert "ILD-Variable, Many-to-Many" in out
    assert "dims in the order [1, 0]" in out
    assert "kernel main_dispatch_0_transpose" in out
    code, document = run_json(capsys, "explain", str(bundle), what)
    assert code == 0
    assert len(document["targets"]["cpu"]["tensors"]) == 1


def test_explain_says_which_ops_share_a_kernel(capsys: Capture, bundle: Path) -> None:
    for what in ("softmax", "net.py:12", "layers.0"):
        code, document = run_json(capsys, "explain", str(bundle), what)
        assert code == 0
        assert document["targets"]["cpu"]["fusion"] == FUSION
    assert main(["explain", str(bundle), "net.py:12"]) == 0
    assert "Many-to-Many, then Many-to-Many: red" in capsys.readouterr().out


def test_the_fusion_table(capsys: Capture) -> None:
    assert main(["explain", "--fusion-table"]) == 0
    out = capsys.readouterr().out
    assert "| **Many-to-Many** | green, Many-to-Many | yellow, Many-to-Many | red |" in out
    code, document = run_json(capsys, "explain", "--fusion-table")
    assert code == 0
    assert len(document["fusion_table"]) == 25
    assert main(["explain"]) == 1
    assert "PATH" in capsys.readouterr().err


def test_explain_of_nothing(capsys: Capture, bundle: Path) -> None:
    assert main(["explain", str(bundle), "nowhere.py"]) == 1
    assert "nothing here is called 'nowhere.py'" in capsys.readouterr().err


def test_devices(capsys: Capture) -> None:
    code, data = run_json(capsys, "devices")
    assert code == 0
    assert data["devices"][0]["uri"] == "local-task"
    assert main(["devices"]) == 0
    assert "cpu" in capsys.readouterr().out


@pytest.fixture
def spec(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The name of a module with the callables `twice` and `thrice`."""
    (tmp_path / "cli_models.py").write_text(MODEL, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    return "cli_models"


def test_verify(capsys: Capture, bundle: Path, spec: str) -> None:
    code, data = run_json(capsys, "verify", str(bundle), f"{spec}:twice", "--device", "cpu")
    assert (code, data["ok"]) == (0, True)
    row = data["devices"][0]["outputs"][0]
    assert row["relative_l2"] <= row["tolerance"] == 1e-4


@pytest.mark.slow
def test_verify_mismatch(capsys: Capture, bundle: Path, spec: str) -> None:
    code, data = run_json(capsys, "verify", str(bundle), "--source", f"{spec}:thrice")
    assert (code, data["ok"]) == (3, False)
    assert main(["verify", str(bundle), f"{spec}:thrice"]) == 3
    assert "MISMATCH: 2 of 2 comparisons fail; y: relative L2 0.333" in capsys.readouterr().out


def test_verify_needs_one_source(capsys: Capture, bundle: Path) -> None:
    assert main(["verify", str(bundle)]) == 1
    assert main(["verify", str(bundle), "a:b", "--source", "a:b"]) == 1
    assert "--source SPEC" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["stat"], 1, "unknown verb 'stat'. Did you mean 'stats'?"),
        (["run"], 1, "Missing argument 'PATH'"),
        (["run", "x", "--devise", "cpu"], 1, "Did you mean '--device'?"),
        (["run", "x", "--repeat", "0"], 1, "0 is not in the range"),
        (["run", "nowhere"], 1, "nowhere: no such compiled model"),
        (["compile", "a:b", "--target", "nvidea"], 1, "Did you mean 'nvidia'?"),
    ],
)
def test_user_errors(capsys: Capture, arguments: list[str], code: int, message: str) -> None:
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert message in captured.err
    json_code, data = run_json(capsys, *arguments)
    assert json_code == code == data["error"]["exit_code"]
    assert message in data["error"]["message"]


def test_device_errors(capsys: Capture, bundle: Path) -> None:
    code, data = run_json(capsys, "run", str(bundle), "--device", "gpu9")
    assert (code, data["error"]["kind"]) == (4, "DeviceError")
    for wish, text in (("", "unknown device ''"), ("gpu", "Did you mean 'vulkan'?")):
        code, data = run_json(capsys, "run", str(bundle), "--device", wish)
        assert code == 4
        assert text in data["error"]["message"]


def test_no_arguments_show_help(capsys: Capture) -> None:
    assert main([]) == 1
    assert "Verbs:" in capsys.readouterr().err


def test_bugs_are_called_bugs(
    capsys: Capture, bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise ZeroDivisionError("oops")

    monkeypatch.setattr("smartmem.runtime.session.Session.run_flat", fail)
    assert main(["run", str(bundle)]) == 1
    error = capsys.readouterr().err
    assert "internal error: ZeroDivisionError: oops" in error
    assert "Traceback" not in error
    monkeypatch.setenv("SMARTMEM_DEBUG", "1")
    assert main(["run", str(bundle)]) == 1
    assert "Traceback" in capsys.readouterr().err


@pytest.mark.slow
def test_target_names() -> None:
    check_target_names(["cpu", "vulkan", "llvmpipe", "adreno-740", "sm_89", "gfx1100", "valhall4"])
    for wrong, near in (("adrano", "adreno"), ("vulcan", "vulkan"), ("llvm-pipe", "llvmpipe")):
        with pytest.raises(UserError, match=f"Did you mean '{near}'"):
            check_target_names([wrong])


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("dir/model.pt2", "model.smartmem"),
        ("pkg.models:swin_t", "swin_t.smartmem"),
        ("suite:minilm", "minilm.smartmem"),
    ],
)
def test_default_output(spec: str, name: str) -> None:
    assert default_output(spec) == Path(name)


def test_report_lines() -> None:
    report = {**REPORT, "layout_bytes": 8, "compile_seconds": {"iree": 0.5}}
    lines = dict(report_lines("cpu", report))
    assert lines["layout bytes"] == "8 B of 32 B (25.0 %)"
    assert lines["compile time"] == "0.5 s (iree 0.5 s)"
    assert set(dict(report_lines("cpu", {})).values()) == {"cpu", "-"}


def test_report_lines_of_textures() -> None:
    storage = {
        "weights": "image",
        "image_bytes": 2048,
        "texel_bytes": 1024,
        "whole_texel_bytes": 2048,
        "of_bytes": 4096,
        "activation_image_bytes": 256,
        "activation_texel_bytes": 512,
        "activation_of_bytes": 1024,
        "kept_as_buffers": {"it is odd": 1},
        "no_images": {"it has one dim only": 2},
        "no_activation_images": {"it is a result": 3},
    }
    lines = report_lines("adreno", {"storage": storage})
    assert ("textures", "2.0 KiB in images, 1.0 KiB in texel buffers, of 4.0 KiB") in lines
    assert ("whole texels", "2.0 KiB, without a division in a loop") in lines
    assert ("activations", "256 B in images, 512 B in texel buffers, of 1.0 KiB") in lines
    assert ("no image", "it is a result (3 activations)") in lines
    assert ("not in images", "it has one dim only (2 bindings)") in lines
    assert ("not in images", "it is odd (1 bindings)") in lines


def test_random_inputs_are_valid_and_repeatable() -> None:
    specs = [
        TensorSpec("ids", (4, 8), "int32", "int64"),
        TensorSpec("mask", (8,), "bool", "bool"),
        TensorSpec("x", (), "bfloat16", "bfloat16"),
    ]
    first, second = (random_inputs(specs, 3) for _ in range(2))
    assert [str(array.dtype) for array in first] == ["int64", "bool", "bfloat16"]
    assert [array.shape for array in first] == [spec.shape for spec in specs]
    assert first[0].min() >= 0
    assert first[0].max() <= 1
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True))


def test_sizes() -> None:
    sizes = [output.size(n) for n in (0, 1023, 1536, 5 * 2**20, 3 * 2**30)]
    assert sizes == ["0 B", "1023 B", "1.5 KiB", "5.0 MiB", "3.00 GiB"]
