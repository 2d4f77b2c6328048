"""docs/kernels.md shows what was recorded."""

import json

from smartmem.benchmarks import kernels

DATA = json.loads(kernels.RESULTS.read_text(encoding="utf-8"))


def test_the_page_is_up_to_date() -> None:
    page = kernels.PAGE.read_text(encoding="utf-8")
    assert kernels.rendered(page) == page, "run `make docs`"


def test_the_rule_never_chooses_a_tile_measured_to_be_much_slower() -> None:
    slow = {
        tuple(row["extents"]): us / row["iree_us"]
        for row in DATA["contractions"]
        if (us := kernels.chosen_us(row)) is not None and us > 1.5 * row["iree_us"]
    }
    assert not slow
