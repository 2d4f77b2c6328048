"""Prints the pinned requirements of pyproject.toml in the order in which setup.sh installs them.

requirements.py first    torch: alone and before all else, so that nothing else chooses its build
requirements.py rest     everything else with its dependencies, the extras included
requirements.py bare     what is installed without its dependencies
requirements.py EXTRA    an extra that setup.sh leaves out, such as `bench`
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

FIRST = "torch"


def groups(pyproject: dict[str, Any]) -> dict[str, list[str]]:
    """The requirements by stage."""
    project = pyproject["project"]
    extras: dict[str, list[str]] = dict(project["optional-dependencies"])
    on_demand = {
        name: extras.pop(name) for name in pyproject["tool"]["smartmem"]["install-on-demand"]
    }
    everything = [*project["dependencies"], *(line for extra in extras.values() for line in extra)]
    bare = set(pyproject["tool"]["smartmem"]["install-without-dependencies"])
    stages: dict[str, list[str]] = {"first": [], "rest": [], "bare": [], **on_demand}
    for line in everything:
        name = re.split(r"[=<>!~\[; ]", line, maxsplit=1)[0]
        stage = "first" if name == FIRST else "bare" if name in bare else "rest"
        stages[stage].append(line)
    return stages


def main() -> None:
    file = Path(__file__).resolve().parent.parent / "pyproject.toml"
    stages = groups(tomllib.loads(file.read_text(encoding="utf-8")))
    print("\n".join(stages[sys.argv[1]]))


if __name__ == "__main__":
    main()
