"""The tuning database: which tiles were the fastest measured for a contraction on a device family.

One JSON file per family of devices (the name of a target), keyed by op, dtype, loops and layout:

    {"format": 1, "family": "llvmpipe", "iree": "3.13.0", "sources": [{"device": ..., ...}],
     "entries": {"contraction f32 1024x48x8 lhs=0,2 rhs=2,1 result=0,1":
                 {"config": {"pipeline": ..., "workgroup": [...], ...} or null for IREE's own,
                  "us": 41.2, "rule_us": 55.0, "iree_us": 93.1, "tried": 24}}}

``smartmem tune`` writes it, ``configure.py`` reads it. Shipped ones lie in
``passes/targets/tuning``, the user's beside the compile cache. It holds for one version of IREE:
kernels are IREE's.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

from platformdirs import user_cache_dir

from smartmem.errors import UserError
from smartmem.passes.rules.kernels import Contraction, KernelConfig

FORMAT = 1
AUTO, OFF = "auto", "off"
_HINT = "`smartmem tune` writes such files; make it again."


@dataclass(frozen=True)
class Entry:
    """The best measured of one contraction: its tiles (None: IREE's own choice), and microseconds
    of it, of the rule's tiles and of IREE's own (None: not measured); ``tried``: how many were.
    """

    config: KernelConfig | None
    us: float
    rule_us: float | None
    iree_us: float | None
    tried: int


@dataclass(frozen=True)
class Database:
    """Entries by ``key_of``. ``sources`` say on what they were measured."""

    family: str
    iree: str
    entries: Mapping[str, Entry] = field(default_factory=dict[str, Entry])
    sources: tuple[Mapping[str, str], ...] = ()

    @property
    def digest(self) -> str:
        """A hash of what compiling takes from it; empty without entries."""
        if not self.entries:
            return ""
        held = {key: _config_json(e.config) for key, e in sorted(self.entries.items())}
        return hashlib.sha256(json.dumps(held).encode()).hexdigest()[:16]

    def find(self, op: Contraction) -> Entry | None:
        """What is known of a contraction."""
        return self.entries.get(key_of(op))

    def merged(self, other: "Database") -> "Database":
        """Both; of what both know, the faster. Raises UserError where they are of two families or
        of two versions of IREE.
        """
        if (self.family, self.iree) != (other.family, other.iree):
            raise UserError(
                f"tuning of {other.family} (IREE {other.iree}) cannot be merged with that of "
                f"{self.family} (IREE {self.iree})",
                hint="Merge files of one device family and one version of IREE.",
            )
        entries = dict(self.entries)
        for key, entry in other.entries.items():
            held = entries.get(key)
            if held is None or (entry.us, entry.tried) < (held.us, held.tried):
                entries[key] = entry
        sources = (*self.sources, *(s for s in other.sources if s not in self.sources))
        return replace(self, entries=entries, sources=sources)

    def to_json(self) -> str:
        """The file's text; the same for the same database."""
        entries = {
            key: {**asdict(e), "config": _config_json(e.config)}
            for key, e in sorted(self.entries.items())
        }
        sources = sorted((dict(s) for s in self.sources), key=lambda s: sorted(s.items()))
        held = {"format": FORMAT, "family": self.family, "iree": self.iree, "sources": sources}
        return json.dumps({**held, "entries": entries}, indent=1) + "\n"


def key_of(op: Contraction) -> str:
    """What names a contraction: its dtype's width, loops, and the loops of each operand's axes in
    memory order.
    """
    axes = (("lhs", op.lhs), ("rhs", op.rhs), ("result", op.result))
    layout = " ".join(f"{name}={','.join(map(str, held))}" for name, held in axes)
    return f"contraction f{op.element_bits} {'x'.join(map(str, op.extents))} {layout}"


def empty(family: str) -> Database:
    """Nothing known yet, for this version of IREE."""
    return Database(family, version("iree-base-compiler"))


def parse(text: str, name: str) -> Database:
    """A database from a file's text; UserError where it is none. ``name`` is said in errors."""
    try:
        data = json.loads(text)
        if data["format"] != FORMAT:
            raise ValueError(f"format {data['format']}, not {FORMAT}")
        entries = {str(key): _entry(row) for key, row in data["entries"].items()}
        return Database(data["family"], data["iree"], entries, tuple(data["sources"]))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{name}: no tuning database ({error})", hint=_HINT) from error


def load(path: Path) -> Database:
    """The database in a file; UserError where it cannot be read."""
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error})", hint=_HINT) from error


def shipped(family: str) -> Database:
    """What comes with smartmem for a family; empty where nothing does."""
    file = files("smartmem.passes") / "targets" / "tuning" / f"{family}.json"
    if not file.is_file():
        return empty(family)
    return parse(file.read_text(encoding="utf-8"), str(file))


def user_file(family: str) -> Path | None:
    """Where the user's own database of a family is kept; None where SMARTMEM_CACHE is off."""
    setting = os.environ.get("SMARTMEM_CACHE", "")
    if setting == "off":
        return None
    return Path(setting or user_cache_dir("smartmem")) / "tuning" / f"{family}.json"


def for_target(family: str, wish: str | os.PathLike[str] = AUTO) -> Database:
    """What a compile for the target called ``family`` uses. ``wish``: ``auto`` is the user's
    database over the shipped one, ``off`` none, else a file.

    Those of another version of IREE are left out, except a file that is named: UserError.
    """
    nothing = empty(family)
    if wish == OFF:
        return nothing
    if wish != AUTO:
        named = load(Path(wish))
        if (named.family, named.iree) != (nothing.family, nothing.iree):
            raise UserError(
                f"{wish}: tuning of {named.family} with IREE {named.iree}; this compile is for "
                f"{nothing.family} with IREE {nothing.iree}",
                hint="Name a file of this target, or leave --tuning out.",
            )
        return named
    user = user_file(family)
    known = [shipped(family), *([load(user)] if user and user.is_file() else [])]
    fitting = [d for d in known if d.iree == nothing.iree]
    # What the user measured on the device at hand is taken before what others measured.
    entries = {key: entry for d in fitting for key, entry in d.entries.items()}
    return replace(nothing, entries=entries, sources=tuple(s for d in fitting for s in d.sources))


def merge_all(databases: Iterable[Database]) -> Database:
    """All of one family in one; UserError where they do not belong together."""
    first, *others = databases
    for other in others:
        first = first.merged(other)
    return first


def _entry(row: Mapping[str, Any]) -> Entry:
    config = None if row["config"] is None else _config(row["config"])
    rule, iree = (None if row[k] is None else float(row[k]) for k in ("rule_us", "iree_us"))
    return Entry(config, float(row["us"]), rule, iree, int(row["tried"]))


def _config(row: Mapping[str, Any]) -> KernelConfig:
    if row["pipeline"] not in ("BaseVectorize", "MatmulPromoteVectorize"):
        raise ValueError(f"pipeline {row['pipeline']!r}")
    tiles = (tuple(int(n) for n in row[key]) for key in ("workgroup", "thread", "reduction"))
    x, y, z = (int(n) for n in row["threads"])
    workgroup, thread, reduction = tiles
    stage = int(row.get("store_stage", 0))
    return KernelConfig(row["pipeline"], workgroup, thread, reduction, (x, y, z), stage)


def _config_json(config: KernelConfig | None) -> dict[str, Any] | None:
    if config is None:
        return None
    held = asdict(config)
    # Only promoted tiles have one.
    return held if config.store_stage else {k: v for k, v in held.items() if k != "store_stage"}
