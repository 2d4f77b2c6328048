"""docs/performance.md: made from recorded documents alone, and no time for a wrong answer."""

import math
import re
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

from smartmem.benchmarks.bench import report
from smartmem.benchmarks.bench.peers import PEERS
from smartmem.benchmarks.bench.results import Document, Row, Status, Warm
from smartmem.benchmarks.bench.summary import summary

COUNTS = {"dispatches": 9, "layout_dispatches": 2, "layout_bytes": 1_500_000}


def row(contender: str, *samples: float) -> Row:
    return Row(
        "net",
        "tiny",
        "a GPU",
        contender,
        "ok",
        relative_l2=2e-6,
        load_ms=30.0,
        first_ms=12.0,
        warm_ms=Warm.of(samples),
        peak_host_bytes=100 << 20,
        counts=COUNTS,
        measured="2026-01-02T03:04:05+00:00",
        load_average=1.5,
        commit="abc",
    )


def document(*rows: Row) -> Document:
    machine = {"processor": "P", "cores": "2", "memory_gib": 8, "system": "S", "python": "3.11"}
    facts = {"kind": "gpu", "driver": "D 1.0", "api": "Vulkan 1.3", "target": "generic"}
    path = Path("some-run.json")
    return Document(path, machine, {"torch": "2"}, {"a GPU": facts}, list(rows))


def page(*rows: Row) -> str:
    return report.render([document(*rows)])


def cells(text: str, title: str) -> list[str]:
    """The cells of the table's only line of data under ``title``."""
    lines = text[text.index(title) :].splitlines()
    line = next(line for line in lines if line.startswith("| net"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_times_and_the_gain_over_the_fastest_other() -> None:
    text = page(row("smartmem", 1.0, 2.0, 3.0), row("eager", 5.0), row("iree", 4.0))
    assert cells(text, "Warm, ms")[1:4] == ["2 (1 to 3)", "4 (4 to 4)", "5 (5 to 5)"]
    assert cells(text, "Warm, ms")[5] == "2.00 x (iree)"
    assert cells(text, "Cold, ms")[1] == "30 + 12"
    assert cells(text, "Kernels launched") == ["net", "9, 2, 1.50", "9, 2, 1.50"]
    assert "D 1.0, Vulkan 1.3" in text
    assert "commit abc; load average of the host 1.5" in text


def test_a_wrong_answer_has_no_time_and_does_not_count_as_the_fastest() -> None:
    wrong = Row("net", "tiny", "a GPU", "iree", "wrong", reason="relative L2 0.28 | <x>")
    text = page(row("smartmem", 2.0), row("eager", 5.0), wrong)
    warm = cells(text, "Warm, ms")
    assert warm[2] == "**WRONG**"
    assert warm[5] == "2.50 x (eager)"
    assert r"- net, iree: wrong: relative L2 0.28 \| &lt;x>" in text


def test_a_distance_stands_where_it_is_what_is_wrong() -> None:
    far = Row("net", "tiny", "a GPU", "iree", "wrong", relative_l2=0.28, tolerance=1e-4)
    nan = Row("net", "tiny", "a GPU", "ncnn", "wrong", relative_l2=0.0, tolerance=1e-4)
    text = page(row("smartmem", 2.0), far, nan)
    assert cells(text, "Relative L2") == ["net", "2.0e-06", "2.8e-01", "-"]


def test_a_busy_host_is_told() -> None:
    busy = replace(row("smartmem", 1.0), load_average=7.5)
    assert "these times tell little" in page(row("smartmem", 1.0), busy)
    assert "these times tell little" not in page(row("smartmem", 1.0))


def test_the_best_variant_is_named_with_what_failed() -> None:
    tried = tuple(
        {"name": name, "status": status}
        for name, status in (("O3", "failed"), ("im2col", "ok"), ("a, whole", "wrong"))
    )
    text = page(row("smartmem", 1.0), replace(row("iree", 1.0), variant="im2col", candidates=tried))
    assert "- net, iree: best is im2col; failed: `O3`; wrong: `a, whole`" in text


def test_the_picture_has_a_bar_for_each_right_answer() -> None:
    wrong = Row("net", "tiny", "a GPU", "iree", "wrong")
    rows = [row("smartmem", 2.0), row("eager", 20.0), row("ort", 1.0), wrong]
    drawn = report.pictures([document(*rows)])
    name, picture = next(iter(drawn.items()))
    assert name == "some-run-a-GPU-tiny.svg"
    assert all(f"(performance/{each})" in page(*rows) for each in drawn)
    bars = [e for e in ElementTree.fromstring(picture) if e.get("height") == "9"]
    widths = [float(e.get("width", "")) for e in bars]
    assert len(bars) == 2
    assert widths[0] == pytest.approx(210.0), "ten times as fast reaches the end"
    assert widths[1] == pytest.approx(210.0 * math.log10(2), abs=0.1)
    assert float(bars[1].get("x", "")) < float(bars[0].get("x", "")), "slower goes to the left"
    assert "iree" not in picture


def test_there_is_a_colour_for_every_contender() -> None:
    drawn = report.pictures([document(*(row(name, 1.0) for name in PEERS))])
    colours = set(re.findall(r'height="10" fill="(#\w+)"', drawn["some-run-a-GPU-tiny.svg"]))
    assert len(colours) == len(PEERS) - 1


def test_each_quantity_has_its_picture() -> None:
    iree = replace(row("iree", 2.0), counts={"dispatches": 18, "layout_bytes": 0, "kernels": 7})
    drawn = report.pictures([document(row("smartmem", 2.0), replace(iree, load_ms=114.0))])
    stem = "some-run-a-GPU-tiny"
    names = [f"{stem}{end}.svg" for end in ("", "-cold", "-memory", "-launches")]
    assert list(drawn) == names, "no bar stands for 0 bytes"
    assert [picture.count(" x</text>") for picture in drawn.values()] == [1, 1, 1, 1]
    assert ">3 x<" in drawn[f"{stem}-cold.svg"]
    assert ">2 x<" in drawn[f"{stem}-launches.svg"]


def test_the_page_is_up_to_date() -> None:
    documents = report.recorded(report.RESULTS)
    others = (report.recorded_as(form, report.RESULTS) for form in report.OTHERS)
    expected = report.render(documents, *others)
    assert report.PAGE.read_text(encoding="utf-8") == expected, "run `make bench-report`"
    drawn = {file.name: file.read_text("utf-8") for file in report.PICTURES.glob("*.svg")}
    assert drawn == report.pictures(documents), "run `make bench-report`"


def test_the_newest_run_with_peers_is_summed_up() -> None:
    later = "2026-01-03T00:00:00+00:00"
    old = document(row("smartmem", 3.0), row("eager", 9.0), row("iree", 8.0))
    new = document(
        replace(row("smartmem", 2.0), measured=later, counts={**COUNTS, "dispatches": 7}),
        replace(row("iree", 6.0), measured=later),
        replace(row("ncnn", 1.0), status="wrong", warm_ms=None),
    )
    alone = document(replace(row("smartmem", 1.0), measured="2026-02-01T00:00:00+00:00"))
    lines = summary([new, old, alone]).splitlines()
    assert lines[0].startswith("a GPU, D 1.0, Vulkan 1.3: a warm call")
    assert lines[-1] == "| net, tiny | 2 | - | - | 6 | wrong | 7 (9) | 2 (2) |"


@pytest.mark.parametrize("status", ["wrong", "failed"])
def test_nothing_is_summed_up_where_smartmem_is_not_right(status: Status) -> None:
    mine = replace(row("smartmem", 1.0), status=status, warm_ms=None)
    assert summary([document(mine, row("eager", 9.0))]) == ""
