"""Every import rule has a case in ``tests/e2e/op_cases``: ``tests/golden/import_rules.txt`` names
its family.

To export all cases takes minutes. So each change is held against the file, and the file against the
cases at night. After adding a rule, write it anew: run this file with ``--update-golden``.
"""

from collections.abc import Callable
from typing import Any

import pytest
from e2e.op_cases import FAMILIES, FamilyModel
from unit.conftest import GOLDEN

from smartmem.dialects import layout
from smartmem.frontend import families, importer
from smartmem.frontend.export import export
from smartmem.frontend.registry import HANDLERS

NAME = "import_rules.txt"


class _Asked(dict[str, Any]):
    """Remembers by which family a key was first looked up."""

    def __init__(self, entries: dict[str, Any]) -> None:
        super().__init__(entries)
        self.family = ""
        self.first: dict[str, str] = {}

    def get(self, key: str, default: Any = None) -> Any:
        if key in self:
            self.first.setdefault(key, self.family)
        return super().get(key, default)


@pytest.mark.nightly
def test_the_file_is_true(
    monkeypatch: pytest.MonkeyPatch, golden: Callable[[str, str], None]
) -> None:
    families.register_all()
    asked = _Asked(importer.HANDLERS)
    monkeypatch.setattr(importer, "HANDLERS", asked)
    with layout.context():
        for asked.family, family in FAMILIES.items():
            program = export(FamilyModel(family).eval(), tuple(family.inputs.values()))
            importer.import_program(program)
    golden(NAME, "".join(f"{rule}: {asked.first[rule]}\n" for rule in sorted(asked.first)))


def test_every_rule_has_a_case() -> None:
    families.register_all()
    lines = (GOLDEN / NAME).read_text(encoding="utf-8").splitlines()
    family_of = dict(line.split(": ") for line in lines)
    assert sorted(family_of) == sorted(HANDLERS)
    assert set(family_of.values()) <= set(FAMILIES)
