"""`smartmem devices`: what this machine can run models on."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import json_option
from smartmem.cli.output import print_json, print_pairs, size

if TYPE_CHECKING:
    from smartmem.deploy.phone import Phone


@click.command(name="devices")
@click.option("--adb", "over_adb", is_flag=True, help="Android devices over adb instead.")
@json_option
def command(over_adb: bool, as_json: bool) -> None:
    """List the devices of this machine, with the target that suits each."""
    if over_adb:
        _android(as_json)
        return
    from smartmem.runtime.devices import VULKAN_HINT, list_devices

    devices = list_devices()
    if as_json:
        print_json({"devices": [vars(device) for device in devices]})
        return
    print_pairs(
        line
        for device in devices
        for line in (
            (device.kind, device.name),
            ("  driver", f"{device.driver}, {device.api}"),
            ("  target", device.target),
            ("  uri", device.uri),
        )
    )
    if len(devices) == 1:
        click.echo(f"no Vulkan device. {VULKAN_HINT}", err=True)


def _android(as_json: bool) -> None:
    """What adb knows of, and of what can be used all that is known before something is pushed."""
    from smartmem.deploy.adb import Adb, attached
    from smartmem.deploy.phone import probe

    rows = attached()
    phones = {row.serial: probe(Adb(row.serial)) for row in rows if row.state == "device"}
    if as_json:
        found = [{**asdict(row), "phone": _facts(phones.get(row.serial))} for row in rows]
        print_json({"devices": found})
        return
    for row in rows:
        phone = phones.get(row.serial)
        if phone is None:
            print_pairs([(row.serial, row.state)])
            continue
        print_pairs(
            [
                (row.serial, phone.model),
                ("  android", f"{phone.android} (API {phone.sdk}), {phone.abi}"),
                ("  vulkan", phone.vulkan or "none"),
                ("  memory", f"{size(phone.memory_bytes)} free"),
                ("  disk", f"{size(phone.disk_bytes)} free"),
            ]
        )
    if not rows:
        click.echo("no Android device is connected (docs/android.md)", err=True)


def _facts(phone: Phone | None) -> dict[str, Any] | None:
    return None if phone is None else asdict(phone)
