"""The page of layout transformations is made of the recorded results."""

from smartmem.benchmarks import layouts


def test_the_page_is_up_to_date() -> None:
    page = layouts.PAGE.read_text(encoding="utf-8")
    assert layouts.rendered(page) == page, "run `make docs`"


def test_nothing_is_kept_without_a_reason() -> None:
    for document in layouts.documents():
        for name, row in document["rows"].items():
            ours = row["smartmem"]
            assert sum(ours["kept_because"].values()) == ours["kept"], name
