"""The known miscompiles are found in executables IREE configured; repaired forms pass."""

from pathlib import Path

import pytest

from smartmem.passes.iree.scan import Finding, scan

CONFIGURED = Path(__file__).parent / "data" / "configured"


def scan_folder(folder: Path) -> tuple[Finding, ...]:
    """Findings in all files of a folder, in the order of their names."""
    files = sorted(folder.glob("*.mlir"))
    return tuple(found for file in files for found in scan(file.read_text(encoding="utf-8")))


@pytest.mark.parametrize("case", ["race_depthwise", "race_depthwise_ampere", "race_depthwise_3d"])
def test_races_are_found(case: str) -> None:
    (finding,) = scan_folder(CONFIGURED / case)
    assert finding.kind == "race"
    assert finding.dispatch.startswith("f_dispatch_0_conv")
    assert "out of memory order" in finding.detail


@pytest.mark.parametrize(
    ("case", "column"),
    [("misaligned_pad", "column 2 of 68"), ("misaligned_pad_ampere", "column 1")],
)
def test_misaligned_stores_are_found(case: str, column: str) -> None:
    (finding,) = scan_folder(CONFIGURED / case)
    assert finding.kind == "misaligned"
    assert column in finding.detail


@pytest.mark.parametrize(
    "case", ["ordered_depthwise", "ordered_conv_batch2", "barrier_pad", "barrier_pad_ampere"]
)
def test_repaired_and_right_forms_pass(case: str) -> None:
    assert len(list((CONFIGURED / case).glob("*.mlir"))) > 0
    assert scan_folder(CONFIGURED / case) == ()


def test_a_subgroup_reduction_over_a_window_is_found() -> None:
    (finding,) = scan_folder(CONFIGURED / "reduction_window")
    assert (finding.kind, finding.is_error) == ("reduction", True)
    assert "loops [3, 4, 5]" in finding.detail


def test_a_subgroup_reduction_over_one_loop_passes() -> None:
    assert "SubgroupReduce" in text_of("reduction_row")
    assert scan_folder(CONFIGURED / "reduction_row") == ()


def text_of(case: str) -> str:
    return (CONFIGURED / case / "configured_module_f_dispatch_0.mlir").read_text()


def test_one_tiled_loop_of_three_is_no_race() -> None:
    text = text_of("race_depthwise")
    assert "tile_sizes = [[2, 4, 8]" in text
    assert scan(text.replace("tile_sizes = [[2, 4, 8]", "tile_sizes = [[1, 1, 8]")) == ()


def test_columns_in_whole_vectors_are_aligned() -> None:
    text = text_of("misaligned_pad")
    assert "offsets = [0, 2, 2]" in text
    assert scan(text.replace("offsets = [0, 2, 2]", "offsets = [0, 2, 4]")) == ()


def test_the_scalar_pipeline_may_store_anywhere() -> None:
    text = text_of("misaligned_pad")
    assert "spirv_pipeline<BaseVectorize>" in text
    text = text.replace("spirv_pipeline<BaseVectorize>", "spirv_pipeline<BaseDistribute>")
    assert scan(text) == ()


def test_text_that_does_not_parse() -> None:
    with pytest.raises(ValueError, match="does not parse"):
        scan("no MLIR")
