"""Whether the user asked to see more than messages: SMARTMEM_DEBUG."""

import os


def is_debug() -> bool:
    """Whether SMARTMEM_DEBUG is set to anything but 0."""
    return os.environ.get("SMARTMEM_DEBUG", "0") not in ("", "0")
