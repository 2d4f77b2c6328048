"""Lays .typing/smartmem, a tree of links that shows pyright the packages under their real names.

Type checkers cannot follow setuptools' package-dir mapping. The folder is ignored by git and laid
anew on every run, since files come and go.
"""

from __future__ import annotations

import shutil
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    mapping: dict[str, str] = dict(pyproject["tool"]["setuptools"]["package-dir"])
    package = ROOT / ".typing" / "smartmem"
    shutil.rmtree(package.parent, ignore_errors=True)
    package.mkdir(parents=True)
    for entry in sorted((ROOT / mapping.pop("smartmem")).iterdir()):
        if entry.name != "__pycache__":
            (package / entry.name).symlink_to(entry)
    for name, folder in mapping.items():
        (package / name.removeprefix("smartmem.")).symlink_to(ROOT / folder)


if __name__ == "__main__":
    main()
