"""How long compiling took, kept beside the user's caches and not in the artefact.

Two compiles of one model are byte-identical folders, so nothing that varies may lie in them.
``SMARTMEM_CACHE`` moves this folder along with the compiler's cache; with ``off`` nothing is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping
from pathlib import Path

from platformdirs import user_cache_dir


def _folder() -> Path | None:
    setting = os.environ.get("SMARTMEM_CACHE", "")
    if setting == "off":
        return None
    return Path(setting or user_cache_dir("smartmem")) / "compile-seconds"


def remember(vmfb_sha256: str, seconds: Mapping[str, float]) -> None:
    """Keep the seconds by phase of the compile that made this module. The first ones stay: later
    compiles find its code in the cache. A disk that refuses is no error.
    """
    folder = _folder()
    if folder is None or recall(vmfb_sha256):
        return
    file = folder / f"{vmfb_sha256}.json"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(dict(seconds)), encoding="utf-8")
    except OSError:
        with contextlib.suppress(OSError):
            file.unlink()


def recall(vmfb_sha256: str) -> dict[str, float]:
    """Seconds by phase of the first compile that made this module; empty where none is known."""
    folder = _folder()
    if folder is None:
        return {}
    try:
        return json.loads((folder / f"{vmfb_sha256}.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
