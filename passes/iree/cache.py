"""What iree-compile made of a given input, kept on disk under a hash of input, options and version.

The key's parts are written beside the value as JSON, so that a miss can be explained.
``SMARTMEM_CACHE`` names another folder, or ``off``.
"""

import contextlib
import hashlib
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from platformdirs import user_cache_dir

# Compiled modules are a few hundred KiB without their weights: this is room for some thousand of
# them.
LIMIT_BYTES = 2 << 30


@dataclass(frozen=True)
class Cache:
    """A folder of values; ``None`` keeps nothing."""

    folder: Path | None

    @classmethod
    def default(cls) -> "Cache":
        """The user's cache folder, or what ``SMARTMEM_CACHE`` says."""
        setting = os.environ.get("SMARTMEM_CACHE", "")
        if setting == "off":
            return cls(None)
        return cls(Path(setting or user_cache_dir("smartmem")) / "iree")

    def get(self, key: str) -> bytes | None:
        """The value stored under ``key``, if any."""
        if self.folder is None:
            return None
        file = self.folder / key
        try:
            value = file.read_bytes()
            os.utime(file)
        except OSError:
            return None
        return value

    def put(self, key: str, value: bytes, parts: Sequence[str]) -> None:
        """Store ``value``; a full or read-only disk is no error, only a later miss."""
        if self.folder is None:
            return
        with contextlib.suppress(OSError):
            self.folder.mkdir(parents=True, exist_ok=True)
            self._write(key, value)
            self._write(f"{key}.json", json.dumps(list(parts), indent=1).encode())
            self._prune()

    def _write(self, name: str, value: bytes) -> None:
        assert self.folder is not None
        partial = self.folder / f".{name}.{secrets.token_hex(4)}"
        try:
            partial.write_bytes(value)
            partial.replace(self.folder / name)
        finally:
            partial.unlink(missing_ok=True)

    def _prune(self) -> None:
        """Drop what was not used for longest until the folder is within its limit."""
        assert self.folder is not None
        files = sorted((f.stat().st_mtime, f.stat().st_size, f) for f in self.folder.iterdir())
        excess = sum(size for _, size, _ in files) - LIMIT_BYTES
        for _, size, file in files:
            if excess <= 0:
                return
            file.unlink(missing_ok=True)
            excess -= size


def key_of(content: str, parts: Sequence[str]) -> str:
    """Hash of the input and of everything else the output depends on."""
    digest = hashlib.blake2b(content.encode(), digest_size=20)
    for part in parts:
        digest.update(b"\0" + part.encode())
    return digest.hexdigest()
