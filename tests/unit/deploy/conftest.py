"""A fake Android device with nothing wrong, and the real adb turned to it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from unit.deploy.fake_phone import FakePhones


@pytest.fixture
def phones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakePhones]:
    fake = FakePhones(tmp_path / "phone")
    monkeypatch.setenv("ADB_SERVER_SOCKET", fake.address)
    yield fake
    fake.close()
