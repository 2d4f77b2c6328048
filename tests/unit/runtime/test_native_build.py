"""The built library and program: what they export, and what they ask of a system.

Android is no machine of ours: what can be seen here is that our own code calls nothing that its
C library lacks, and that files can be loaded where pages are 16 KiB large.
"""

import re
import subprocess
from pathlib import Path

import pytest

from smartmem.runtime import native_api

pytestmark = [pytest.mark.native, pytest.mark.cxx]

BUILD = native_api.LIBRARY.parent
RUNNER = BUILD / "smartmem-run"
# What bionic offers arm64 applications at API 28, by scripts/bionic_symbols.py from its symbol maps
# (platform/bionic at 731631f30009).
BIONIC = Path(__file__).parent / "data" / "bionic-28-arm64.txt"
# Of the compiler and its C++ library, which each system has its own of.
COMPILERS = re.compile(
    r"_Z|__cxa_|__gxx_|_Unwind_|_GLOBAL_OFFSET_TABLE_|__errno_location|__libc_single_threaded"
    r"|__cpu_\w+|__\w+[sdt]i\d$"
)


def tool(*command: str | Path) -> str:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, text=True, check=True).stdout


def test_our_code_calls_what_android_has() -> None:
    folders = {"smartmem_objects.dir/src": "src", "smartmem-run.dir/runner": "runner"}
    objects = [
        BUILD / "CMakeFiles" / made / f"{source.name}.o"
        for made, folder in folders.items()
        for source in (BUILD.parent / folder).glob("*.cpp")
    ]
    listed = tool("nm", "--undefined-only", "--format=just-symbols", *objects)
    called = {line for line in listed.split() if not line.endswith(":")}
    system = {name for name in called if not COMPILERS.match(name) and not name.startswith("sm_")}
    assert system - set(BIONIC.read_text(encoding="utf-8").split()) == set()
    assert {"dlopen", "mmap"} <= system


def test_the_list_of_android_tells_apis_apart() -> None:
    offered = set(BIONIC.read_text(encoding="utf-8").split())
    assert {
        "dlopen",
        "mmap",
        "sqrtf",
        "pthread_mutex_lock",
        "getentropy",
    } <= offered  # 28: the last
    assert not offered & {"memfd_create", "preadv2", "pthread_cancel", "fopen64_unlocked"}


def test_only_the_c_api_is_exported() -> None:
    listed = tool("nm", "--dynamic", "--defined-only", "--format=just-symbols", native_api.LIBRARY)
    header = (BUILD.parent / "include" / "smartmem.h").read_text(encoding="utf-8")
    assert set(listed.split()) == set(re.findall(r"\b(sm_\w+)\(", header))


@pytest.mark.parametrize("file", [native_api.LIBRARY, RUNNER])
def test_pages_may_be_16_kib_large(file: Path) -> None:
    segments = [line.split() for line in tool("readelf", "-lW", file).splitlines()]
    alignments = [int(words[-1], 16) for words in segments if words[:1] == ["LOAD"]]
    assert alignments and all(alignment % 0x4000 == 0 for alignment in alignments)


@pytest.mark.parametrize("file", [native_api.LIBRARY, RUNNER])
def test_neither_vulkan_nor_a_c_plus_plus_library_is_asked_for(file: Path) -> None:
    needed = re.findall(r"\(NEEDED\).*\[(.*?)\]", tool("readelf", "-dW", file))
    # What a C library is made of.
    assert {name.split(".")[0].split("-")[0] for name in needed} <= {"libc", "libm", "libdl", "ld"}
