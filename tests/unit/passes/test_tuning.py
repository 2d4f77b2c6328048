"""The tuning database and the candidates of its search."""

import json
from dataclasses import replace
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smartmem.errors import UserError
from smartmem.passes.rules.kernels import Contraction, KernelConfig, accepts, tile_contraction
from smartmem.passes.target import known_targets
from smartmem.passes.tuning import database
from smartmem.passes.tuning.candidates import Genes, child, drawn, expressed
from smartmem.passes.tuning.database import Database, Entry, empty, key_of, parse

OP = Contraction((196, 384, 96), (0, 2), (2, 1), (0, 1))
TILES = KernelConfig("BaseVectorize", (4, 32, 0), (2, 4, 0), (0, 0, 4), (8, 2, 1))


def _database(us: float, config: KernelConfig | None = TILES, tried: int = 9) -> Database:
    entry = Entry(config, us, 20.0, 30.0, tried)
    source = {"device": f"measured at {us}", "driver": "d", "date": "2026-01-01"}
    return replace(empty("llvmpipe"), entries={key_of(OP): entry}, sources=(source,))


def test_a_file_holds_what_was_written() -> None:
    held = _database(10.0)
    again = parse(held.to_json(), "file")
    assert again == held
    assert again.to_json() == held.to_json()
    assert again.find(OP) == Entry(TILES, 10.0, 20.0, 30.0, 9)
    assert again.find(replace(OP, element_bits=16)) is None
    assert again.find(replace(OP, rhs=(1, 2))) is None


def test_of_what_both_know_the_faster_is_kept() -> None:
    slow, fast = _database(10.0), _database(5.0, None)
    for one, other in ((slow, fast), (fast, slow)):
        entry = one.merged(other).find(OP)
        assert entry
        assert (entry.us, entry.config) == (5.0, None)
        assert len(one.merged(other).sources) == 2
    assert slow.merged(slow) == slow


@pytest.mark.parametrize("other", [{"family": "nvidia"}, {"iree": "0.1"}])
def test_other_families_and_versions_do_not_merge(other: dict[str, str]) -> None:
    with pytest.raises(UserError, match="cannot be merged"):
        _database(1.0).merged(replace(_database(2.0), **other))


@pytest.mark.parametrize(
    "damage",
    [
        lambda d: d.update(format=99),
        lambda d: d.pop("entries"),
        lambda d: next(iter(d["entries"].values())).pop("us"),
        lambda d: next(iter(d["entries"].values()))["config"].update(pipeline="Magic"),
        lambda d: next(iter(d["entries"].values()))["config"].update(threads=[1]),
    ],
)
def test_damaged_files_are_refused(damage: object) -> None:
    data = json.loads(_database(1.0).to_json())
    damage(data)  # type: ignore[operator]
    with pytest.raises(UserError, match="no tuning database"):
        parse(json.dumps(data), "file.json")


def test_the_users_own_is_taken_before_the_shipped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SMARTMEM_CACHE", str(tmp_path))
    monkeypatch.setattr(database, "shipped", lambda family: _database(1.0))
    assert database.for_target("llvmpipe").find(OP) == _database(1.0).find(OP)
    file = database.user_file("llvmpipe")
    assert file
    file.parent.mkdir()
    file.write_text(_database(2.0, None).to_json())
    mine = database.for_target("llvmpipe").find(OP)
    assert mine
    assert mine.config is None
    file.write_text(replace(_database(2.0, None), iree="0.1").to_json())
    assert database.for_target("llvmpipe").find(OP) == _database(1.0).find(OP)
    assert database.for_target("llvmpipe", "off").find(OP) is None
    with pytest.raises(UserError, match=r"with IREE 0\.1"):
        database.for_target("llvmpipe", file)
    with pytest.raises(UserError, match="cannot be read"):
        database.for_target("llvmpipe", tmp_path / "nothing.json")


def test_the_digest_is_of_the_tiles_only() -> None:
    assert empty("llvmpipe").digest == ""
    assert _database(1.0).digest == _database(2.0).digest
    assert _database(1.0).digest != _database(1.0, None).digest


@pytest.mark.parametrize("family", sorted(known_targets()))
def test_shipped_tiles_are_ones_for_their_contractions(family: str) -> None:
    limits = known_targets()[family].kernels
    held = database.shipped(family)
    for key, entry in held.entries.items():
        assert limits
        op = _contraction(key)
        assert key_of(op) == key
        assert entry.config is None or accepts(op, entry.config, limits)
        assert entry.us > 0


def _contraction(key: str) -> Contraction:
    _, dtype, extents, *axes = key.split()
    lhs, rhs, result = (tuple(map(int, a.partition("=")[2].split(","))) for a in axes)
    return Contraction(tuple(map(int, extents.split("x"))), lhs, rhs, result, int(dtype[1:]))


sizes = st.sampled_from((1, 3, 7, 12, 32, 49, 96, 196, 197, 768))


@given(seed=st.integers(0, 1000), rows=sizes, columns=sizes, depth=sizes)
def test_every_candidate_keeps_the_limits(seed: int, rows: int, columns: int, depth: int) -> None:
    """Children too; and what the rule chooses is accepted as well."""
    op = Contraction((rows, columns, depth), (0, 2), (2, 1), (0, 1))
    random = Random(seed)
    for family in ("llvmpipe", "nvidia"):
        limits = known_targets()[family].kernels
        assert limits
        parents = [drawn(random) for _ in range(3)]
        for genes in (*parents, child(parents, random), child(parents, random)):
            config = expressed(genes, op, limits)
            assert config is None or accepts(op, config, limits)
        rule = tile_contraction(op, limits)
        assert rule is None or accepts(op, rule, limits)


def test_what_breaks_a_limit_is_not_accepted() -> None:
    limits = known_targets()["nvidia"].kernels
    assert limits
    genes = Genes(threads=64, rows=4, columns=4, depth=16, promoted=0.9)
    promoted = expressed(genes, Contraction((128, 128, 128), (0, 2), (2, 1), (0, 1)), limits)
    assert promoted
    assert promoted.pipeline == "MatmulPromoteVectorize"
    square = Contraction((128, 128, 128), (0, 2), (2, 1), (0, 1))
    assert accepts(square, promoted, limits)
    assert not accepts(square, promoted, replace(limits, shared_bytes=1024))
    assert not accepts(square, promoted, replace(limits, most_threads=4))
    assert not accepts(replace(square, extents=(130, 128, 128)), promoted, limits)
    assert not accepts(OP, replace(TILES, workgroup=(4, 32)), limits)
    assert not accepts(OP, replace(TILES, reduction=(0, 0, 5)), limits)
