"""Where a graph node comes from in the user's Python: module path, file and line, as an MLIR
location.
"""

import re
import sys
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from smartmem import spelling
from smartmem.dialects._mlir import ir

_FRAME = re.compile(r'File "(?P<file>[^"]+)", line (?P<line>\d+)')
# Ours, in whatever folder we are installed: a user's folder may have our name, too.
_FRONTEND = f"{Path(__file__).parent}/"
_PACKAGE = f"{Path(spelling.__file__).parent}/"


@dataclass(frozen=True)
class Source:
    """``module`` is the dotted path in the model, ``file`` relative to the import path, ``line``
    from 1 (0: unknown).
    """

    module: str
    file: str
    line: int

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.file else "unknown line"
        return f"{place} ({self.module})" if self.module else place


def source_of(node: Any) -> Source:
    """The innermost frame outside PyTorch that made ``node``, and its module."""
    frames = list(_FRAME.finditer(node.meta.get("stack_trace") or ""))
    frames = [f for f in frames if not f["file"].startswith("<")]
    own = [f for f in frames if not _is_library(f["file"])]
    frame = (own or frames or [None])[-1]
    stack = node.meta.get("nn_module_stack") or {}
    module = next((path for path, _ in reversed(list(stack.values())) if path), "")
    if frame is None:
        return Source(module, "", 0)
    return Source(module, relative(frame["file"]), int(frame["line"]))


def _is_library(file: str) -> bool:
    """Whether this is PyTorch's code or ours, the models of the suite excepted."""
    if "/torch/" in file or file.startswith(_FRONTEND):
        return True
    inside = file.removeprefix(_PACKAGE)
    return inside != file and not inside.startswith("benchmarks/")


def relative(file: str) -> str:
    """``file`` without its longest prefix on the import path, so that artefacts do not depend on
    the machine.
    """
    path = PurePath(file)
    for root in sorted(filter(None, sys.path), key=len, reverse=True):
        if path.is_relative_to(root):
            return path.relative_to(root).as_posix()
    return path.name


def location(source: Source) -> Any:
    """``source`` as a named file location; unknown parts are left out."""
    inner = ir.Location.file(source.file, source.line, 0) if source.file else ir.Location.unknown()
    return ir.Location.name(source.module, inner) if source.module else inner
