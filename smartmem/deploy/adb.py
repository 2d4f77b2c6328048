"""Android devices through the real `adb`: every wait is bounded, every failure is named."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from smartmem.errors import DeviceError
from smartmem.spelling import did_you_mean

# Printed by the device's shell after a command: where it is missing, the connection was lost.
_END = "smartmem-end:"
_SHORT_S = 30.0
_HINTS = {
    "unauthorized": "Unlock the device and allow this computer to debug it.",
    "offline": "Plug it in again, or run `adb reconnect`.",
    "no permissions": "This user may not use the USB device: see `adb devices`, udev rules.",
}
_FULL = "No space left on device"
_LOST_HINT = "Plug the device in again; what was pushed whole will not be pushed again."


@dataclass(frozen=True)
class Attached:
    """A line of `adb devices`; ``state`` is "device" where it can be used."""

    serial: str
    state: str
    model: str = ""


class Done(NamedTuple):
    """How a command on the device ended, and what it printed, errors included."""

    code: int
    output: str


def attached() -> list[Attached]:
    """All that adb knows of. Raises DeviceError where there is no adb or it does not answer."""
    done = _run(["devices", "-l"], _SHORT_S)
    if done.returncode != 0:
        raise DeviceError(f"adb failed: {_error_of(done)}")
    rows: list[Attached] = []
    for line in done.stdout.splitlines()[1:]:
        words = line.split(None, 1)
        if len(words) < 2:
            continue
        serial, rest = words
        facts = dict(word.split(":", 1) for word in rest.split() if ":" in word)
        state = "no permissions" if "no permissions" in rest else rest.split()[0]
        rows.append(Attached(serial, state, facts.get("model", "")))
    return rows


def choose(serial: str | None) -> Adb:
    """The device of this serial number, or the only one. DeviceError says what is in the way."""
    found = attached()
    known = ", ".join(f"{row.serial} ({row.model or row.state})" for row in found)
    if serial is not None:
        rows = [row for row in found if row.serial == serial]
        if not rows:
            raise DeviceError(
                f"no Android device {serial!r}.{did_you_mean(serial, [r.serial for r in found])}",
                hint=f"adb knows: {known or 'none'}.",
            )
    else:
        rows = found
    usable = [row for row in rows if row.state == "device"]
    if len(usable) > 1:
        raise DeviceError(f"several Android devices: {known}", hint="Choose one with --serial.")
    if usable:
        return Adb(usable[0].serial)
    if not rows:
        raise DeviceError(
            "no Android device is connected",
            hint="Plug one in with USB debugging on (docs/android.md).",
        )
    first = rows[0]
    raise DeviceError(f"{first.serial} is {first.state}", hint=_HINTS.get(first.state))


class Adb:
    """One device that can be used."""

    def __init__(self, serial: str) -> None:
        self.serial = serial

    def shell(self, command: str, limit_s: float = _SHORT_S) -> Done:
        """Runs a line of shell on the device; DeviceError where no end of it is seen."""
        try:
            line = f"{{ {command}\n}} 2>&1; code=$?; echo; echo {_END}$code"
            done = self._adb(["shell", "-n", line], limit_s)
        except subprocess.TimeoutExpired:
            raise DeviceError(
                f"{self.serial}: no answer within {limit_s:g} s to: {_shortened(command)}"
            ) from None
        output, end, code = done.stdout.rpartition(f"\n{_END}")
        if not end or not code.strip().isdigit():
            raise DeviceError(
                f"{self.serial}: the connection was lost during: {_shortened(command)}\n"
                f"adb says: {_error_of(done)}",
                hint=_LOST_HINT,
            )
        return Done(int(code), output.removesuffix("\n"))

    def checked(self, command: str, limit_s: float = _SHORT_S) -> str:
        """What the command prints; DeviceError where it fails."""
        done = self.shell(command, limit_s)
        if done.code != 0:
            reason = (done.output.strip().splitlines() or ["no message"])[-1]
            raise DeviceError(
                f"{self.serial}: exit code {done.code} of: {_shortened(command)}\n{reason}"
            )
        return done.output

    def push(self, files: Sequence[Path], folder: str, limit_s: float) -> None:
        """Copies files into a folder of the device that is there."""
        self._transfer(["push", *map(str, files), f"{folder}/"], f"pushing to {folder}", limit_s)

    def pull(self, file: str, to: Path, limit_s: float) -> None:
        """Copies a file from the device."""
        self._transfer(["pull", file, str(to)], f"pulling {file}", limit_s)

    def _transfer(self, arguments: Sequence[str], doing: str, limit_s: float) -> None:
        try:
            done = self._adb(arguments, limit_s)
        except subprocess.TimeoutExpired:
            raise DeviceError(f"{self.serial}: {doing} took more than {limit_s:g} s") from None
        if done.returncode == 0:
            return
        if _FULL in done.stdout + done.stderr:
            raise DeviceError(
                f"{self.serial}: {doing}: the disk is full", hint="Free some space on the device."
            )
        raise DeviceError(f"{self.serial}: {doing} failed: {_error_of(done)}", hint=_LOST_HINT)

    def _adb(self, arguments: Sequence[str], limit_s: float) -> subprocess.CompletedProcess[str]:
        return _run(["-s", self.serial, *arguments], limit_s)


def _run(arguments: Sequence[str], limit_s: float) -> subprocess.CompletedProcess[str]:
    program = shutil.which("adb")
    if program is None:
        raise DeviceError(
            "adb is not installed", hint="On Debian: apt-get install adb; or Android's own tools."
        )
    return subprocess.run(
        [program, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=limit_s,
    )


def _error_of(done: subprocess.CompletedProcess[str]) -> str:
    """The line in which adb says what went wrong."""
    lines = [*done.stderr.splitlines(), *done.stdout.splitlines()]
    named = (line.strip() for line in lines if "error:" in line)
    return next(named, lines[-1] if lines else f"exit code {done.returncode}")


def _shortened(command: str) -> str:
    most = 120
    line = " ".join(command.split())
    return line if len(line) <= most else f"{line[:most]}..."
