"""The folder format: round trip, determinism, atomic writing, and clear errors on damage."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from unit.runtime.conftest import SIGNATURE, WEIGHTS

from smartmem.errors import UserError
from smartmem.runtime.bundle import Bundle
from smartmem.runtime.bundle_writer import BundleWriter
from smartmem.runtime.manifest import Manifest

Write = Callable[..., Path]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(file.relative_to(folder)): file.read_bytes()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_round_trip(bundle_path: Path) -> None:
    bundle = Bundle.open(bundle_path)
    manifest = bundle.manifest
    assert [spec.name for spec in manifest.inputs] == ["x", "i", "m"]
    assert manifest.inputs[0].shape == (2, 8)
    assert set(manifest.targets) == {"cpu", "llvmpipe"}
    assert manifest.weights.entries == 2
    assert manifest.weights.bytes == bundle.weights.stat().st_size
    assert bundle.report("cpu") == {"dispatches": 2, "total_bytes": 96}
    assert bundle.plan("cpu") == {}
    bundle.check_weights(thorough=True)
    bundle.check_target("cpu")


def test_same_content_gives_the_same_bytes(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "a", {"cpu": b"code"})
    write(tmp_path / "b", {"cpu": b"code"})
    assert contents(tmp_path / "a") == contents(tmp_path / "b")


def test_other_targets_of_the_same_model_are_kept(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "a", {"cpu": b"old", "llvmpipe": b"kept"})
    path = write(tmp_path / "a", {"cpu": b"new"})
    bundle = Bundle.open(path)
    assert bundle.vmfb("cpu").read_bytes() == b"new"
    assert bundle.vmfb("llvmpipe").read_bytes() == b"kept"
    bundle.check_target("cpu")
    bundle.check_target("llvmpipe")


def test_targets_of_another_model_are_dropped(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "a", {"llvmpipe": b"old"}, weights={"w": np.zeros(3, np.float32)})
    with BundleWriter(tmp_path / "a") as writer:
        writer.write_weights(WEIGHTS)
        writer.add_target("cpu", kind="cpu", iree_target="host", vmfb=b"new", plan={}, report={})
        writer.finish(**SIGNATURE)
    path = tmp_path / "a"
    assert writer.dropped == ("llvmpipe",)
    assert set(Bundle.open(path).manifest.targets) == {"cpu"}
    assert not (path / "targets" / "llvmpipe").exists()


def test_a_failure_leaves_the_old_bundle_and_no_rubbish(tmp_path: Path, write: Write) -> None:
    path = write(tmp_path / "a", {"cpu": b"code"})
    before = contents(tmp_path)
    with pytest.raises(RuntimeError), BundleWriter(path) as writer:
        writer.write_weights({})
        raise RuntimeError
    assert contents(tmp_path) == before


def test_writing_leaves_nothing_beside_the_bundle(tmp_path: Path, write: Write) -> None:
    for _ in range(2):
        write(tmp_path / "deep" / "a", {"cpu": b"code"})
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["a"]


def test_a_foreign_folder_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work", encoding="utf-8")
    with pytest.raises(UserError, match="will not be replaced"):
        BundleWriter(tmp_path)
    with pytest.raises(UserError, match="will not be replaced"):
        BundleWriter(tmp_path / "thesis.txt")


@pytest.mark.parametrize("text", ["{}", '{"manifest_version": 3}', "no json"])
def test_a_folder_with_another_kind_of_manifest_is_not_replaced(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match="is not a compiled model; it will not be replaced"):
        BundleWriter(tmp_path)


@pytest.mark.parametrize("name", ["mine.txt", "targets/cpu/mine.txt", "targets/notes/a.txt"])
def test_files_of_others_are_not_deleted(copied: Path, name: str) -> None:
    (copied / name).parent.mkdir(exist_ok=True)
    (copied / name).write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=f"{name}: smartmem did not write this file"):
        BundleWriter(copied)


def test_a_bundle_of_another_format_version_is_replaced(copied: Path, write: Write) -> None:
    edit(copied, lambda data: data.update(format_version=1))
    write(copied, {"cpu": b"new"})
    assert set(Bundle.open(copied).manifest.targets) == {"cpu"}


def test_a_link_stays_a_link(tmp_path: Path, write: Write) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for code in (b"old", b"new"):
        write(tmp_path / "link", {"cpu": code})
    assert (tmp_path / "link").is_symlink()
    assert Bundle.open(tmp_path / "real").vmfb("cpu").read_bytes() == b"new"


def test_the_working_folder_is_not_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path in ("", ".", ".."):
        with pytest.raises(UserError, match="the working folder lies in it"):
            BundleWriter(path)


def test_a_place_that_takes_nothing_is_told_at_once() -> None:
    with pytest.raises(UserError, match="cannot write /proc/x"):
        BundleWriter("/proc/x")


def test_a_model_without_weights(tmp_path: Path, write: Write) -> None:
    manifest = Manifest.load(write(tmp_path / "a", {"cpu": b"code"}, weights={}))
    assert manifest.weights.entries == 0


def test_archives_hold_any_dtype_and_order(tmp_path: Path, write: Write) -> None:
    import ml_dtypes
    from iree.runtime import ParameterIndex

    matrix = np.arange(6, dtype=np.float32).reshape(2, 3)
    arrays = {
        "z": matrix.T,
        "half": matrix.astype(ml_dtypes.bfloat16),
        "scalar": np.array(7, np.int64),
        "mask": np.array([True, False]),
    }
    path = write(tmp_path / "a", {}, weights=arrays)
    index = ParameterIndex()
    index.load(str(path / "weights.irpa"))
    stored = {key: bytes(entry.file_view) for key, entry in index.items()}
    assert list(stored) == sorted(arrays)
    assert stored == {key: array.tobytes() for key, array in arrays.items()}


def test_bad_target_name(tmp_path: Path) -> None:
    with BundleWriter(tmp_path / "a") as writer, pytest.raises(UserError, match=r"\.\./x"):
        writer.add_target("../x", kind="cpu", iree_target="", vmfb=b"", plan={}, report={})


def edit(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    file = path / "manifest.json"
    data = json.loads(file.read_text(encoding="utf-8"))
    change(data)
    file.write_text(json.dumps(data), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda data: data.update(format_version=99), "format version 99"),
        (lambda data: data.pop("inputs"), "no field 'inputs'"),
        (lambda data: data.update(inputs=7), "damaged manifest"),
        (lambda data: data["inputs"].pop(), "input_tree and inputs disagree"),
        (lambda data: data["outputs"].pop(), "output_tree and outputs disagree"),
        (lambda data: data.update(input_tree={"kind": "tensor", "index": 0}), "damaged manifest"),
        (lambda data: data["weights"].update(file="/etc/passwd"), "weights in"),
        (lambda data: data["targets"]["cpu"].update(vmfb="../x"), "target 'cpu'"),
        (lambda data: data["targets"].update(cpu=[]), "damaged manifest"),
    ],
)
def test_damaged_manifests(
    copied: Path, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit(copied, change)
    with pytest.raises(UserError, match=message) as caught:
        Bundle.open(copied)
    assert str(copied / "manifest.json") in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[]", "\0", '{"format_version": 1'])
def test_manifests_that_are_no_json_object(copied: Path, text: str) -> None:
    (copied / "manifest.json").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=r"manifest\.json"):
        Bundle.open(copied)


def test_missing_bundles(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such compiled model"):
        Bundle.open(tmp_path / "nowhere")
    with pytest.raises(UserError, match="not a compiled model"):
        Bundle.open(tmp_path)


@pytest.mark.parametrize("name", ["plan", "report"])
def test_changed_plans_and_reports_are_found(copied: Path, name: str) -> None:
    bundle = Bundle.open(copied)
    bundle.check_target("cpu", thorough=True)
    (copied / "targets" / "cpu" / f"{name}.json").write_text("{}\n \n", encoding="utf-8")
    with pytest.raises(UserError, match=rf"{name}\.json: its hash differs"):
        getattr(bundle, name)("cpu")
    bundle.check_target("cpu")
    with pytest.raises(UserError, match=rf"{name}\.json: its hash differs"):
        bundle.check_target("cpu", thorough=True)


def test_changed_weights_are_found_by_the_thorough_check(copied: Path) -> None:
    bundle = Bundle.open(copied)
    data = bytearray(bundle.weights.read_bytes())
    data[-1] ^= 1
    bundle.weights.write_bytes(data)
    bundle.check_weights()
    with pytest.raises(UserError, match=r"weights\.irpa: its hash differs"):
        bundle.check_weights(thorough=True)
