"""The recorded measurements of our executor: on the page as they are, and what they show."""

import json
from typing import Any

import pytest

from smartmem.benchmarks import executor

RECORDED = executor.ROOT / "benchmarks" / "results" / "executor-llvmpipe.json"


@pytest.fixture(scope="module")
def data() -> dict[str, Any]:
    return json.loads(RECORDED.read_text(encoding="utf-8"))


def test_the_page_has_the_recorded_numbers(data: dict[str, Any]) -> None:
    assert "\n".join(executor.tables(data)) in executor.PAGE.read_text(encoding="utf-8")


def test_kinds_of_memory_change_no_bit(data: dict[str, Any]) -> None:
    for row in data["rows"]:
        assert all(held["same_bits"] for held in row["storages"].values()), row["model"]


def test_weights_of_full_models_are_whole_texels(data: dict[str, Any]) -> None:
    assert {row["model"] for row in data["counted"]} >= {
        f"{name}/full" for name in ("swin-tiny", "vit", "convnext-tiny", "cswin")
    }
    for row in data["counted"]:
        textures = row["image_bytes"] + row["texel_bytes"]
        assert textures >= 0.9 * row["of_bytes"], row["model"]
        assert row["whole_texel_bytes"] >= 0.9 * textures, row["model"]
