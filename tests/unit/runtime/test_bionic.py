"""Our C++ through the compiler and headers of Android, short of the NDK's own library of C++.

The NDK is bionic's headers, clang and libc++: where SMARTMEM_BIONIC names a checkout of bionic
(https://android.googlesource.com/platform/bionic) and clang with libc++'s headers is there, every
source is compiled for API 28, warnings being errors, and what the objects ask for must be in
bionic. Not proven by it: linking with the NDK's libc++, and that it runs.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

NATIVE = Path(__file__).parents[3] / "runtime" / "native"
BIONIC = Path(os.environ.get("SMARTMEM_BIONIC", ""))
CLANG = shutil.which("clang++") or ""
OFFERED = Path(__file__).parent / "data" / "bionic-28-arm64.txt"
SYSTEM_HEADERS = ("include", "kernel/uapi", "kernel/android/uapi", "kernel/uapi/asm-arm64")
# Of libc++ and its ABI library, which the NDK links into the file, and of its start-up object.
RUNTIME = re.compile(r"_Z|__cxa_|__gxx_|_Unwind_|__dso_handle$|sm_")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (os.environ.get("SMARTMEM_BIONIC") and CLANG),
        reason="SMARTMEM_BIONIC names no checkout of bionic, or there is no clang++",
    ),
]


def libcxx() -> Path:
    """The headers of libc++ that belong to the compiler."""
    asked = [CLANG, "-print-resource-dir"]
    place = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    return Path(place).parents[2] / "include" / "c++" / "v1"


@pytest.fixture(scope="module")
def headers(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options for the folders of headers: nothing of this system but Vulkan's."""
    own = tmp_path_factory.mktemp("headers")
    for name in ("vulkan", "vk_video"):
        (own / name).symlink_to(Path("/usr/include") / name)
    (own / "android").mkdir()
    # libc++ asks for the NDK's version, which the NDK's build writes.
    names = ("MINOR", "BUILD", "BETA", "CANARY")
    version = ["#define __NDK_MAJOR__ 27", *(f"#define __NDK_{name}__ 0" for name in names)]
    (own / "android" / "ndk-version.h").write_text("\n".join(version), encoding="utf-8")
    folders = [libcxx(), *(BIONIC / "libc" / name for name in SYSTEM_HEADERS), own]
    return [word for folder in folders for word in ("-isystem", str(folder))]


def compiled(source: Path, headers: list[str], out: Path) -> subprocess.CompletedProcess[str]:
    command = [
        *(CLANG, "--target=aarch64-linux-android28", "-std=c++17", "-O2", "-fPIC"),
        *("-Wall", "-Wextra", "-Werror", "-Wno-missing-field-initializers"),
        # Of bionic's own headers, to compilers older than they are.
        *("-Wno-unknown-attributes", "-nostdinc++", "-nostdlibinc", *headers),
        *(f"-I{NATIVE / 'include'}", "-iquote", str(NATIVE / "src"), "-c", str(source)),
        *("-o", str(out)),
    ]
    return subprocess.run(command, capture_output=True, text=True)


def test_every_source_compiles_for_android(headers: list[str], tmp_path: Path) -> None:
    sources = [file for folder in ("src", "runner") for file in (NATIVE / folder).glob("*.cpp")]
    assert len(sources) > 30
    objects = [tmp_path / f"{source.parent.name}-{source.name}.o" for source in sources]
    for source, out in zip(sources, objects, strict=True):
        done = compiled(source, headers, out)
        assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        ["nm", "--undefined-only", "--format=just-symbols", *map(str, objects)],
        capture_output=True,
        text=True,
        check=True,
    )
    asked = {line for line in listed.stdout.split() if not line.endswith(":")}
    system = {name for name in asked if not RUNTIME.match(name)}
    assert {"dlopen", "mmap"} <= system
    assert system - set(OFFERED.read_text(encoding="utf-8").split()) == set()


def test_a_call_newer_than_the_api_is_refused(headers: list[str], tmp_path: Path) -> None:
    """memfd_create came with API 30."""
    source = tmp_path / "new.cpp"
    source.write_text(
        '#include <sys/mman.h>\nint made() { return memfd_create("x", 0); }\n', encoding="utf-8"
    )
    assert "memfd_create" in compiled(source, headers, tmp_path / "new.o").stderr
