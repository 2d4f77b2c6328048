"""One idea, four spellings (file, class, pass, lit test), and one file per family in every room."""

import ast
import inspect
from importlib import import_module
from pathlib import Path

import pytest

from smartmem.dialects.layout import ops
from smartmem.frontend import families as frontend_families
from smartmem.frontend.registry import HANDLERS
from smartmem.passes import pipeline
from smartmem.passes.lower import families as lowering_families
from smartmem.passes.lower.registry import RULES
from smartmem.passes.registry import PASSES
from smartmem.passes.rules import layouts
from smartmem.passes.select_precision import SelectPrecisionPass

ROOT = Path(__file__).resolve().parents[3]

VERBS = ("classify", "eliminate", "rewrite", "fuse", "select", "pack", "plan", "lower", "configure")
STARTS = tuple(f"{verb}_" for verb in (*VERBS, "verify"))


@pytest.mark.parametrize("name", sorted(PASSES))
def test_a_pass_has_one_name(name: str) -> None:
    stem = name.removeprefix("smartmem-").replace("-", "_")
    factory = PASSES[name]
    assert name.startswith("smartmem-")
    assert stem.startswith(STARTS)
    assert factory.__name__ == stem.title().replace("_", "") + "Pass"
    assert factory.__module__ == f"smartmem.passes.{stem}"
    lit = ROOT / "tests" / "lit" / "passes"
    assert (lit / f"{stem}.mlir").is_file() or any((lit / stem).glob("*.mlir"))


def test_every_pass_file_is_registered() -> None:
    files = {path.stem for path in (ROOT / "passes").glob("*.py") if path.stem.startswith(STARTS)}
    assert files == {name.removeprefix("smartmem-").replace("-", "_") for name in PASSES}


def test_every_pass_stands_in_the_pipeline() -> None:
    laying_out = pipeline.layout_passes("vulkan", precision=SelectPrecisionPass())
    steps = [*laying_out, *pipeline.lowering_passes("vulkan")]
    assert {step.name for step in steps} == set(PASSES)


@pytest.mark.parametrize("name", sorted(PASSES))
def test_a_pass_shows_what_it_does(name: str) -> None:
    """Its module says what, why, and shows IR before and after; what must hold on both sides."""
    text = inspect.getmodule(PASSES[name]).__doc__ or ""
    assert "==>" in text
    assert "On entry" in text
    assert "xit" in text


def test_a_family_has_one_name_in_every_room() -> None:
    assert frontend_families.FAMILIES == lowering_families.FAMILIES
    for family in frontend_families.FAMILIES:
        assert (ROOT / "frontend" / f"{family}.py").is_file()
        assert (ROOT / "passes" / "lower" / f"{family}.py").is_file()
        assert (ROOT / "tests" / "lit" / "passes" / "lower_to_linalg" / f"{family}.mlir").is_file()


def test_family_files_are_all_loaded() -> None:
    """Whatever registers rules is named in its room's list."""
    for room, decorator, listed in (
        ("frontend", "imports", frontend_families.FAMILIES),
        ("passes/lower", "lowers", lowering_families.FAMILIES),
    ):
        registering = {
            path.stem
            for path in (ROOT / room).glob("*.py")
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == decorator
        }
        assert registering <= set(listed)


def _op_names() -> list[str]:
    classes = [c for _, c in inspect.getmembers(ops, inspect.isclass)]
    return sorted(c.OPERATION_NAME for c in classes if c.__module__ == ops.__name__)


def test_every_op_has_a_lowering_and_a_layout_rule() -> None:
    lowering_families.register_all()
    assert _op_names() == sorted(RULES)
    loaded = {ops.WeightOp.OPERATION_NAME, ops.RelayoutOp.OPERATION_NAME}
    assert set(_op_names()) - set(layouts.RULES) <= loaded


def test_every_op_is_round_tripped() -> None:
    text = (ROOT / "tests" / "lit" / "dialects" / "ops.mlir").read_text(encoding="utf-8")
    assert [name for name in _op_names() if f'"{name}"(' not in text] == []


def test_op_classes_are_called_like_their_ops() -> None:
    for name in _op_names():
        stem = name.removeprefix("layout.").title().replace("_", "")
        assert hasattr(ops, f"{stem}Op")


def test_import_rules_name_aten_overloads() -> None:
    """``aten.NAME.OVERLOAD`` exists in PyTorch, so no rule is dead by a misspelling."""
    import torch

    frontend_families.register_all()
    unknown = []
    for name in HANDLERS:
        base, _, overload = name.partition(".")
        packet = getattr(torch.ops.aten, base, None)
        if packet is None or overload not in packet.overloads():
            unknown.append(name)
    assert unknown == []


def test_rooms_import_what_they_may() -> None:
    """docs/architecture.md, "Rooms": what each folder may import of ours."""
    allowed = {
        "dialects": {"dialects"},
        "passes": {"dialects", "passes", "errors", "spelling", "runtime"},
        "frontend": {
            "dialects",
            "frontend",
            "errors",
            "spelling",
            "debug",
            "runtime",
            "compiler",
            "benchmarks",
        },
        "runtime": {"runtime", "errors", "spelling"},
    }
    wrong: list[str] = []
    for room, known in allowed.items():
        for path in sorted((ROOT / room).rglob("*.py")):
            for name in _imported(path):
                if name.startswith("smartmem.") and name.split(".")[1] not in known:
                    wrong.append(f"{path.relative_to(ROOT)}: {name}")
                if room == "runtime" and name.split(".")[0] in ("torch", "torch_mlir"):
                    wrong.append(f"{path.relative_to(ROOT)}: {name}")
                if room == "passes" and name.split(".")[0] == "torch":
                    wrong.append(f"{path.relative_to(ROOT)}: {name}")
    assert wrong == []


def _imported(path: Path) -> list[str]:
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.append(node.module)
    return names


def test_one_place_imports_the_bindings() -> None:
    for path in [*(ROOT / "dialects").rglob("*.py"), *(ROOT / "passes").rglob("*.py")]:
        roots = {name.split(".")[0] for name in _imported(path)}
        assert not roots & {"mlir", "torch_mlir"}, path


def test_passes_are_importable_alone() -> None:
    for name in ("base", "opt", "pipeline", "plan", "registry", "target"):
        assert import_module(f"smartmem.passes.{name}").__doc__
