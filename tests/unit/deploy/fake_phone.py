"""A scripted Android device behind the real `adb`: a server that speaks its protocol to the client.

The client asks what ADB_SERVER_SOCKET names. Shell commands run here, in a folder that stands for
the device: `/data/local/tmp` in a command or a path is that folder, and programs that only Android
has (getprop, pm, ...) are scripts in its `bin`. Faults are switched on by name.

Protocol: SERVICES.TXT, OVERVIEW.TXT and SYNC.TXT of adb; "shell,v2" packets are a byte (1 output,
2 errors, 3 exit code), a length and content.
"""

from __future__ import annotations

import os
import signal
import socket
import stat
import struct
import subprocess
import threading
from collections.abc import Callable
from pathlib import Path

PLACE = "/data/local/tmp"
# What `adb` 1.0.41 takes for a server of its own version; another one it would replace.
_SERVER_VERSION = 41
_FEATURES = "shell_v2,cmd,fixed_push_mkdir"
_STDOUT, _STDERR, _EXIT = 1, 2, 3

PROPERTIES = {
    "ro.product.model": "Fake 9",
    "ro.product.cpu.abi": "x86_64",
    "ro.build.version.sdk": "34",
    "ro.build.version.release": "14",
}
VULKAN_1_3 = 1 << 22 | 3 << 12
VULKAN_1_0 = 1 << 22


class FakePhones:
    """The server. ``states`` are the devices by serial number, as `adb devices` tells them.

    ``full_after``, ``lost_after``: bytes of pushed files after which the disk is full, or the
    device is gone; with ``lose_shell`` the next command loses it. ``programs`` are scripts that
    the device has instead of its own. ``shells`` are the commands that ran, ``pushed`` the files.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.states = {"FAKE1": "device"}
        self.full_after: int | None = None
        self.lost_after: int | None = None
        self.lose_shell = False
        self.shells: list[str] = []
        self.pushed: list[str] = []
        self._pushed_bytes = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._running: set[subprocess.Popen[bytes]] = set()
        (folder / "tmp").mkdir(parents=True)
        (folder / "bin").mkdir()
        self.properties = dict(PROPERTIES)
        self.vulkan: int | None = VULKAN_1_3
        self.free_kib = 1 << 20
        self.programs: dict[str, str] = {}
        threading.Thread(target=self._serve, daemon=True).start()

    @property
    def address(self) -> str:
        """For ADB_SERVER_SOCKET."""
        return f"tcp:127.0.0.1:{self._listener.getsockname()[1]}"

    @property
    def place(self) -> Path:
        """What the device calls /data/local/tmp."""
        return self.folder / "tmp"

    def close(self) -> None:
        self._listener.close()
        for process in list(self._running):
            _kill(process)

    # The server

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._handle, args=(connection,), daemon=True).start()

    def _handle(self, connection: socket.socket) -> None:
        with connection:
            try:
                chosen: str | None = None
                while True:
                    service = _read(connection, int(_read(connection, 4), 16)).decode()
                    if service.startswith(("host:transport", "host:tport")):
                        chosen = self._transport(connection, service)
                    elif service.startswith("host"):
                        return self._host(connection, service)
                    else:
                        return self._device(connection, service, chosen)
            except (OSError, ValueError):
                return

    def _host(self, connection: socket.socket, service: str) -> None:
        name = service.rsplit(":", 1)[-1]
        answers: dict[str, Callable[[], str]] = {
            "version": lambda: f"{_SERVER_VERSION:04x}",
            "devices-l": self._list,
            "features": lambda: _FEATURES,
        }
        if name not in answers:
            return _fail(connection, f"unknown host service {service}")
        if name == "features" and (reason := self._unusable(service.split(":")[1:-1])):
            return _fail(connection, reason)
        answer = answers[name]().encode()
        connection.sendall(b"OKAY" + f"{len(answer):04x}".encode() + answer)

    def _list(self) -> str:
        more = " product:fake model:Fake_9 transport_id:1"
        return "".join(f"{serial:22} {state}{more}\n" for serial, state in self.states.items())

    def _unusable(self, wanted: list[str]) -> str:
        serial = wanted[0] if wanted else next(iter(self.states), "")
        state = self.states.get(serial)
        if state is None:
            return f"device '{serial}' not found"
        return "" if state == "device" else f"device {state}"

    def _transport(self, connection: socket.socket, service: str) -> str:
        serial = service.split(":")[-1]
        if reason := self._unusable([] if serial == "any" else [serial]):
            _fail(connection, reason)
            raise ConnectionError
        # "tport" wants the number of the transport, too.
        number = struct.pack("<Q", 1) if "tport" in service else b""
        connection.sendall(b"OKAY" + number)
        return serial

    def _device(self, connection: socket.socket, service: str, serial: str | None) -> None:
        if serial is None:
            return _fail(connection, "no device was chosen")
        kind, _, command = service.partition(":")
        connection.sendall(b"OKAY")
        if kind.startswith("shell,v2"):
            return self._shell(connection, command)
        if kind == "sync":
            return self._sync(connection)
        raise ConnectionError

    # Commands

    def _shell(self, connection: socket.socket, command: str) -> None:
        self.shells.append(command)
        if self.lose_shell:
            self.states.clear()
            return
        self._write_programs()
        environment = {
            **os.environ,
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "VK_LOADER_DEBUG": "none",
        }
        process = subprocess.Popen(
            ["sh", "-c", command.replace(PLACE, str(self.place))],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._running.add(process)
        threading.Thread(target=_end_with, args=(connection, process), daemon=True).start()
        output, errors = process.communicate()
        self._running.discard(process)
        for kind, content in ((_STDOUT, output), (_STDERR, errors)):
            if content:
                connection.sendall(struct.pack("<BI", kind, len(content)) + content)
        connection.sendall(struct.pack("<BIB", _EXIT, 1, process.returncode & 0xFF))
        # Closing is not enough while another thread reads.
        connection.shutdown(socket.SHUT_RDWR)

    def _write_programs(self) -> None:
        """What Android's shell has and ours has not, as the test wants them to answer."""
        cases = "".join(f"{key}) echo '{value}';; " for key, value in self.properties.items())
        feature = f"feature:android.hardware.vulkan.version={self.vulkan}"
        row = f"/dev/fake 9999999 0 {self.free_kib} 0% {PLACE}"
        programs = {
            "getprop": f'case "$1" in {cases} esac',
            "pm": f"echo '{feature}'" if self.vulkan is not None else ":",
            "df": f"echo 'Filesystem 1K-blocks Used Available Use% Mounted on'; echo '{row}'",
        }
        for name, body in {**programs, **self.programs}.items():
            file = self.folder / "bin" / name
            file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
            file.chmod(0o755)

    # Files

    def _sync(self, connection: socket.socket) -> None:
        while True:
            request, length = struct.unpack("<4sI", _read(connection, 8))
            name = _read(connection, length).decode() if request != b"QUIT" else ""
            if request == b"QUIT":
                return
            if request == b"STAT":
                self._stat(connection, self._local(name))
            elif request == b"SEND":
                self._receive(connection, self._local(name.rpartition(",")[0]))
            elif request == b"RECV":
                self._send(connection, self._local(name))
            else:
                raise ConnectionError

    def _local(self, path: str) -> Path:
        if not path.startswith(PLACE):
            raise ConnectionError
        return self.place / path.removeprefix(PLACE).lstrip("/")

    def _stat(self, connection: socket.socket, path: Path) -> None:
        found = path.stat() if path.exists() else None
        numbers = (found.st_mode, found.st_size, int(found.st_mtime)) if found else (0, 0, 0)
        connection.sendall(struct.pack("<4sIII", b"STAT", *numbers))

    def _receive(self, connection: socket.socket, path: Path) -> None:
        """What `adb push` sends: chunks up to DONE."""
        self.pushed.append(path.name)
        content = b""
        while True:
            kind, length = struct.unpack("<4sI", _read(connection, 8))
            if kind == b"DONE":
                break
            content += _read(connection, length)
            self._pushed_bytes += length
            if self.lost_after is not None and self._pushed_bytes > self.lost_after:
                path.write_bytes(content[: len(content) // 2])
                self.states.clear()
                raise ConnectionError
        if self.full_after is not None and self._pushed_bytes > self.full_after:
            return _fail_sync(connection, "write failed: No space left on device")
        if not path.parent.is_dir():
            return _fail_sync(connection, "No such file or directory")
        path.write_bytes(content)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        connection.sendall(struct.pack("<4sI", b"OKAY", 0))

    def _send(self, connection: socket.socket, path: Path) -> None:
        most = 1 << 16
        if not path.is_file():
            return _fail_sync(connection, "No such file or directory")
        content = path.read_bytes()
        for start in range(0, len(content), most):
            part = content[start : start + most]
            connection.sendall(struct.pack("<4sI", b"DATA", len(part)) + part)
        connection.sendall(struct.pack("<4sI", b"DONE", 0))


def _read(connection: socket.socket, count: int) -> bytes:
    content = b""
    while len(content) < count:
        part = connection.recv(count - len(content))
        if not part:
            raise ConnectionError
        content += part
    return content


def _fail(connection: socket.socket, reason: str) -> None:
    connection.sendall(b"FAIL" + f"{len(reason):04x}".encode() + reason.encode())


def _fail_sync(connection: socket.socket, reason: str) -> None:
    connection.sendall(struct.pack("<4sI", b"FAIL", len(reason)) + reason.encode())


def _end_with(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Ends a command whose client has gone, as Android does."""
    try:
        while connection.recv(1 << 12):
            pass
    except OSError:
        pass
    if process.poll() is None:
        _kill(process)


def _kill(process: subprocess.Popen[bytes]) -> None:
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
