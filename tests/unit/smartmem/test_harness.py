"""The test harness itself: runs that tested nothing must not look green."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[3]
NEEDY_TEST = """
import pytest

def test_other():
    pass

@pytest.mark.{}
def test_needy():
    pass
"""


def run_pytest(
    folder: Path, text: str, *options: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Runs a test file under this project's conftest."""
    shutil.copy(ROOT / "tests" / "conftest.py", folder)
    (folder / "test_it.py").write_text(text, encoding="utf-8")
    (folder / "pytest.ini").write_text("[pytest]\nmarkers =\n  vulkan\n  cxx\n", encoding="utf-8")
    inherited = {key: value for key, value in os.environ.items() if key != "CI"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options, "."],
        cwd=folder,
        env={**inherited, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


SKIPPED = "import pytest\n\n@pytest.mark.skip\ndef test_a():\n    pass\n"


@pytest.mark.parametrize(
    ("text", "options", "code"),
    [
        (SKIPPED, (), 5),
        (SKIPPED, ("-p", "xdist", "-n1"), 5),
        ("", (), 5),
        ("def test_a():\n    pass\n", ("-p", "xdist", "-n1"), 0),
    ],
)
def test_a_run_without_a_passing_test_fails(
    tmp_path: Path, text: str, options: tuple[str, ...], code: int
) -> None:
    assert run_pytest(tmp_path, text, *options).returncode == code


@pytest.mark.parametrize(
    ("marker", "absent", "reason"),
    [
        (
            "vulkan",
            {"VK_DRIVER_FILES": "/nowhere", "VK_ICD_FILENAMES": "/nowhere"},
            "no Vulkan device here",
        ),
        ("cxx", {"PATH": "/nowhere"}, "no g++ or no Vulkan headers here"),
    ],
)
def test_tests_never_vanish_in_silence(
    tmp_path: Path, marker: str, absent: dict[str, str], reason: str
) -> None:
    text = NEEDY_TEST.format(marker)
    alone = run_pytest(tmp_path, text, **absent)
    assert alone.returncode == 0
    assert f"{marker.upper()} NOT TESTED" in alone.stdout
    assert f"1 tests did not run: {reason}" in alone.stdout
    in_ci = run_pytest(tmp_path, text, CI="true", **absent)
    assert in_ci.returncode == 1
    assert reason in in_ci.stdout


def test_lit_fails_without_tests(tmp_path: Path) -> None:
    shutil.copy(ROOT / "lit.cfg.py", tmp_path)
    (tmp_path / "tests").mkdir()
    lit = Path(sys.executable).with_name("lit")
    none = subprocess.run([lit, tmp_path / "tests"], capture_output=True, text=True, check=False)
    assert none.returncode != 0
    assert "did not discover any tests" in none.stderr
    (tmp_path / "tests" / "a.mlir").write_text(
        "// RUN: %python -c 'print(1)' | %filecheck %s\n// CHECK: 1\n", encoding="utf-8"
    )
    one = subprocess.run([lit, tmp_path / "tests"], capture_output=True, text=True, check=False)
    assert one.returncode == 0, one.stdout


def test_lit_runs_in_a_clean_environment(tmp_path: Path) -> None:
    shutil.copy(ROOT / "lit.cfg.py", tmp_path)
    code = "import os; print(sorted(k for k in os.environ if k.startswith(chr(80))))"
    (tmp_path / "a.mlir").write_text(
        f"// RUN: %python -c '{code}' | %filecheck %s\n"
        "// CHECK: ['PATH', 'PYTHONSAFEPATH']\n"
        "// RUN: not %smartmem-opt --no-such-option\n",
        encoding="utf-8",
    )
    done = subprocess.run(
        [Path(sys.executable).with_name("lit"), "-v", tmp_path / "a.mlir"],
        env={**os.environ, "PYTHONPATH": "/somewhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
