"""``smartmem-opt`` in this process: its pipeline text, files, and what it says to mistakes."""

from pathlib import Path

import pytest

from smartmem.errors import UserError
from smartmem.passes.opt import Step, main, parse_pipeline

TRANSPOSED = """
func.func @f(%x: tensor<4x6xf32>) -> tensor<4x6xf32> {
  %0 = "layout.view"(%x) {index_map = affine_map<(i, j) -> (j, i)>}
    : (tensor<4x6xf32>) -> tensor<6x4xf32>
  %1 = "layout.view"(%0) {index_map = affine_map<(i, j) -> (j, i)>}
    : (tensor<6x4xf32>) -> tensor<4x6xf32>
  return %1 : tensor<4x6xf32>
}
"""


@pytest.fixture
def source(tmp_path: Path) -> str:
    path = tmp_path / "in.mlir"
    path.write_text(TRANSPOSED)
    return str(path)


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("", []),
        ("a", [Step("a", {})]),
        ("a , b", [Step("a", {}), Step("b", {})]),
        ("builtin.module(a,b)", [Step("a", {}), Step("b", {})]),
        ("a{x=1 y=2},b", [Step("a", {"x": "1", "y": "2"}), Step("b", {})]),
        ("a{x=1,y=2}", [Step("a", {"x": "1", "y": "2"})]),
        (
            "func.func(canonicalize{max-iterations=2},cse),b",
            [Step("func.func(canonicalize{max-iterations=2},cse)", {}), Step("b", {})],
        ),
    ],
)
def test_pipeline_text(text: str, steps: list[Step]) -> None:
    assert parse_pipeline(text) == steps


@pytest.mark.parametrize("text", ["a{x}", "a b", "a{x=1"])
def test_pipeline_text_refused(text: str) -> None:
    with pytest.raises(UserError):
        parse_pipeline(text)


def test_writes_a_file(source: str, tmp_path: Path) -> None:
    out = tmp_path / "out.mlir"
    assert main([source, "--pass-pipeline=smartmem-eliminate-views", "-o", str(out)]) == 0
    assert "layout.view" not in out.read_text()


def test_prints_generic_form_and_locations(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([source, "--mlir-print-op-generic", "--mlir-print-debuginfo"]) == 0
    printed = capsys.readouterr().out
    assert '"func.func"' in printed
    assert "loc(" in printed


@pytest.mark.parametrize(
    ("pipeline", "said"),
    [
        ("smartmem-eliminate-vews", "Did you mean 'smartmem-eliminate-views'?"),
        ("cse-all", "unknown pass 'cse-all'"),
        ("cse{fast=1}", "cse: <Pass-Options-Parser>: no such option fast"),
        ("smartmem-lower-to-linalg{devise=cpu}", "Did you mean 'device'?"),
        ("smartmem-lower-to-linalg{device=gpu}", "device 'gpu' is not one of cpu, vulkan"),
        ("smartmem-fuse-blocks{lanes=many}", "lanes is a number from 1, not 'many'"),
        ("smartmem-fuse-reads{promotes=no}", "promotes is true or false, not 'no'"),
        ("smartmem-verify-lowered", "layout.view at loc("),
    ],
)
def test_mistakes(
    source: str, pipeline: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([source, f"--pass-pipeline={pipeline}"]) == 1
    captured = capsys.readouterr()
    assert said in captured.err
    assert captured.out == ""


def test_errors_name_the_file(source: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(source).write_text("module {")
    assert main([source]) == 1
    assert f'"{source}":1' in capsys.readouterr().err


def test_a_file_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path / "none.mlir")]) == 1
    assert "none.mlir: No such file or directory" in capsys.readouterr().err


def test_parts_keep_their_lines(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An error in the second part names its line in the file; the first part is still printed."""
    path = tmp_path / "two.mlir"
    path.write_text(TRANSPOSED + "// -----\nfunc.func @g() { wrong }\n")
    assert main([str(path), "--split-input-file"]) == 1
    captured = capsys.readouterr()
    line = path.read_text().splitlines().index("func.func @g() { wrong }") + 1
    assert f'"{path}":{line}:' in captured.err
    assert "@f" in captured.out
