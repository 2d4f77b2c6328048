"""Saved programs: a plain one loads, a hostile one runs nothing, and what is dynamic is named."""

import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from smartmem.errors import SmartmemError, UnsupportedError, UserError
from smartmem.frontend.archive import load_archive

MODEL = "models/model.json"
INPUTS = "data/sample_inputs/model.pt"
CONSTANTS = "data/constants/model_constants_config.json"
WEIGHTS = "data/weights/model_weights_config.json"


class Net(nn.Module):
    """One parameter, and an argument that is a string."""

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor, mode: str = "plain") -> torch.Tensor:
        return torch.relu(self.fc(x)) if mode == "plain" else x


class Nonzero(nn.Module):
    """Its result's shape depends on values."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nonzero(x) + 1


class Touch:
    """Pickled, it makes a file when it is read."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> Any:
        return (Path.touch, (self.marker,))


def save(path: Path, module: nn.Module, args: tuple[Any, ...], **options: Any) -> Path:
    torch.export.save(torch.export.export(module.eval(), args, **options), path)
    return path


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    return save(tmp_path / "plain.pt2", Net(), (torch.ones(2, 4), "plain"))


def rewritten(source: Path, changes: dict[str, Callable[[bytes], bytes]]) -> Path:
    """A copy of the archive with members changed, or added where there were none."""
    out = source.with_name("changed.pt2")
    root = source.stem
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            change = changes.get(name.removeprefix(f"{root}/"), bytes)
            new.writestr(name, change(old.read(name)))
        for name in changes:
            if f"{root}/{name}" not in old.namelist():
                new.writestr(f"{root}/{name}", changes[name](b""))
    return out


def edited(source: Path, edit: Callable[[Any], None], member: str = MODEL) -> Path:
    """A copy of the archive with its JSON edited."""

    def change(old: bytes) -> bytes:
        data = json.loads(old)
        edit(data)
        return json.dumps(data).encode()

    return rewritten(source, {member: change})


def saved_by_torch(value: Any) -> bytes:
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


def test_a_plain_program_loads_and_runs(plain: Path) -> None:
    program = load_archive(plain)
    x = torch.randn(2, 4)
    expected = torch.export.load(plain).module()(x, "plain")
    assert torch.equal(program.module()(x, "plain"), expected)


def test_pickled_inputs_do_not_run(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    marker = tmp_path / "ran"
    evil = rewritten(plain, {INPUTS: lambda old: saved_by_torch(((Touch(marker),), {}))})
    with pytest.raises(UserError, match="pickled objects"):
        load_archive(evil)
    assert not marker.exists()
    # The control: torch itself does run it (and its log message of that lacks an argument).
    monkeypatch.setattr("torch._export.serde.serialize.log.warning", lambda *_, **__: None)
    torch.export.load(evil)
    assert marker.exists()


def test_pickled_weights_do_not_run(plain: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"

    def pickled(data: Any) -> None:
        data["config"]["fc.bias"].update(use_pickle=True, tensor_meta=None)

    evil = edited(plain, pickled, WEIGHTS)
    name = json.loads(zipfile.ZipFile(evil).read(f"plain/{WEIGHTS}"))["config"]["fc.bias"]
    member = f"data/weights/{name['path_name']}"
    evil = evil.replace(plain.with_name("half.pt2"))
    with zipfile.ZipFile(evil) as old, zipfile.ZipFile(plain, "w") as new:
        for entry in old.namelist():
            changed = saved_by_torch(Touch(marker)) if entry.endswith(member) else old.read(entry)
            new.writestr(entry, changed)
    with pytest.raises(UserError, match="pickled objects"):
        load_archive(plain)
    assert not marker.exists()


@pytest.mark.parametrize("kind", ["opaque_obj_0", "custom_obj_0", "OPAQUE_OBJ_0"])
def test_pickled_constants_do_not_run(plain: Path, tmp_path: Path, kind: str) -> None:
    marker = tmp_path / "ran"
    held = {"path_name": kind, "is_param": False, "use_pickle": True, "tensor_meta": None}
    evil = rewritten(
        plain,
        {
            CONSTANTS: lambda old: json.dumps({"config": {"c": held}}).encode(),
            f"data/constants/{kind}": lambda old: pickle.dumps(Touch(marker)),
        },
    )
    with pytest.raises(UserError, match=f"{kind}' is not part of a plain program"):
        load_archive(evil)
    assert not marker.exists()


@pytest.mark.parametrize(
    "member", ["data/aotinductor/model/model.so", "models/other.json", "data/weights/model.pt"]
)
def test_other_members_are_refused(plain: Path, member: str) -> None:
    evil = rewritten(plain, {member: lambda old: b"anything"})
    with pytest.raises(UserError, match=f"'{member}' is not part of a plain program"):
        load_archive(evil)


def code(marker: Path) -> str:
    """Python source, as an expression, that makes the file."""
    return f"__import__('pathlib').Path('{marker}').touch()"


def _size(data: Any, text: str) -> None:
    shape = data["graph_module"]["graph"]["tensor_values"]["linear"]["sizes"]
    shape[0] = {"as_expr": {"expr_str": text, "hint": {"as_int": 2}}}


def _string(data: Any, text: str) -> None:
    data["graph_module"]["graph"]["inputs"][-1]["as_string"] = f"'+str({text})+'"


def _guard(data: Any, text: str) -> None:
    data["guards_code"] = [text]


def _name(data: Any, text: str) -> None:
    data["graph_module"]["graph"]["inputs"][-2]["as_tensor"]["name"] = f"x={text}"


def _target(data: Any, text: str) -> None:
    data["graph_module"]["graph"]["nodes"][0]["target"] = "torch.os.system"


def _file(data: Any, text: str) -> None:
    data["graph_module"]["graph"]["nodes"][0]["target"] = "torch.ops.aten.from_file.default"


def _signature(data: Any, text: str) -> Any:
    return data["graph_module"]["module_call_graph"][0]["signature"]


def _argument(data: Any, text: str) -> None:
    _signature(data, text)["forward_arg_names"][0] = f"x={text}"


def _enum(data: Any, text: str) -> None:
    spec = json.loads(_signature(data, text)["in_spec"])
    held = {"__enum__": True, "fqn": "antigravity:x", "name": "y"}
    spec[1]["children_spec"][0]["context"] = json.dumps([held])
    _signature(data, text)["in_spec"] = json.dumps(spec)


def _factory(data: Any, text: str) -> None:
    spec = json.loads(_signature(data, text)["in_spec"])
    held = {"default_factory_module": "os", "default_factory_name": "abort", "dict_context": []}
    spec[1]["children_spec"][1].update(type="collections.defaultdict", context=held)
    _signature(data, text)["in_spec"] = json.dumps(spec)


@pytest.mark.parametrize(
    "attack", [_size, _string, _name, _target, _file, _argument, _enum, _factory]
)
def test_text_is_not_evaluated(plain: Path, tmp_path: Path, attack: Callable[..., None]) -> None:
    marker = tmp_path / "ran"
    evil = edited(plain, lambda data: attack(data, code(marker)))
    with pytest.raises(SmartmemError):
        load_archive(evil)
    assert not marker.exists()


@pytest.mark.parametrize("attack", [_size, _string, _guard])
def test_torch_would_evaluate_it(plain: Path, tmp_path: Path, attack: Callable[..., None]) -> None:
    """The control for the test above: these are no straw men."""
    marker = tmp_path / "ran"
    evil = edited(plain, lambda data: attack(data, code(marker)))
    try:
        torch.export.load(evil).module()(torch.ones(2, 4), "plain")
    except Exception as error:
        assert marker.exists(), error
    assert marker.exists()


def test_guards_are_dropped(plain: Path, tmp_path: Path) -> None:
    marker = tmp_path / "ran"
    program = load_archive(edited(plain, lambda data: _guard(data, code(marker))))
    program.module()(torch.ones(2, 4), "plain")
    assert not marker.exists()


@pytest.mark.parametrize("size", [0, 10, 500])
def test_truncated(plain: Path, size: int) -> None:
    plain.write_bytes(plain.read_bytes()[:size])
    with pytest.raises(UserError, match=r"plain\.pt2: cannot be read as a program"):
        load_archive(plain)


def test_foreign_archives(tmp_path: Path) -> None:
    weights = tmp_path / "weights.pt2"
    torch.save({"w": torch.ones(3)}, weights)
    with pytest.raises(UserError, match=r"weights\.pt2: "):
        load_archive(weights)
    with zipfile.ZipFile(tmp_path / "text.pt2", "w") as archive:
        archive.writestr("text/readme.txt", "hello")
    with pytest.raises(UserError, match=r"text\.pt2: "):
        load_archive(tmp_path / "text.pt2")


def test_a_dynamic_dimension_is_named(tmp_path: Path) -> None:
    dims = {"x": {0: torch.export.Dim("batch", min=2)}, "mode": None}
    path = save(tmp_path / "d.pt2", Net(), (torch.ones(3, 4), "plain"), dynamic_shapes=dims)
    with pytest.raises(UnsupportedError, match="dimension 0 of input 'x' is dynamic") as error:
        load_archive(path)
    assert "without dynamic_shapes" in str(error.value)


def test_a_shape_that_depends_on_values_is_named(tmp_path: Path) -> None:
    path = save(tmp_path / "n.pt2", Nonzero(), (torch.ones(3, 4),))
    with pytest.raises(UnsupportedError, match="known only at run time") as error:
        load_archive(path)
    (row,) = error.value.rows
    assert row.op == "aten.nonzero.default"
    assert "test_archive.py:" in row.location
