"""`smartmem devices`: what this machine can run models on."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from smartmem.cli.options import json_option
from smartmem.cli.output import print_json, print_pairs, progress, size
from smartmem.errors import DeviceError, UserError

if TYPE_CHECKING:
    from smartmem.deploy.deploy import Checked
    from smartmem.deploy.phone import Phone


@click.command(name="devices")
@click.option("--adb", "over_adb", is_flag=True, help="Android devices over adb instead.")
@click.option(
    "--model",
    type=click.Path(path_type=Path),
    help="With --adb: what this compiled model needs beside what one device has.",
)
@click.option("--serial", metavar="S", help="With --model: which device.")
@click.option("--target", metavar="NAME", help="With --model: which target of it.")
@click.option(
    "--program",
    type=click.Path(path_type=Path, exists=True, dir_okay=False),
    help="With --model: smartmem-run for the device, as for `smartmem deploy`.",
)
@json_option
def command(
    over_adb: bool,
    model: Path | None,
    serial: str | None,
    target: str | None,
    program: Path | None,
    as_json: bool,
) -> int:
    """List the devices of this machine, with the target that suits each."""
    if model is None and (serial or target or program):
        raise UserError("--serial, --target and --program are for --model")
    if model is not None:
        if not over_adb:
            raise UserError("--model is for --adb", hint="Here, `smartmem run` tells what lacks.")
        return _needs(model, serial, target, program, as_json)
    if over_adb:
        _android(as_json)
    else:
        _here(as_json)
    return 0


def _here(as_json: bool) -> None:
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


def _needs(
    path: Path, serial: str | None, target: str | None, program: Path | None, as_json: bool
) -> int:
    """Each need of a model beside what the device has; the exit code tells whether all are met."""
    from smartmem.cli.deploy import chosen_program
    from smartmem.deploy import adb
    from smartmem.deploy.deploy import check
    from smartmem.runtime.bundle import Bundle

    chosen = chosen_program(Bundle.open(path), target, program, None)
    device = adb.choose(serial)
    with progress(as_json) as show:
        found = check(device, chosen, show)
    if as_json:
        print_json(found.to_json())
    else:
        _print_needs(found)
    return 0 if all(row.ok for row in found.checks) else DeviceError.exit_code


def _print_needs(found: Checked) -> None:
    phone = found.phone
    print_pairs(
        [
            ("device", f"{phone.model} ({phone.serial}, Android {phone.android})"),
            ("gpu", str(found.gpu.get("name", "not asked"))),
            *(
                (row.name, f"{'ok' if row.ok else 'LACKS'}: needs {row.needed}, has {row.has}")
                for row in found.checks
            ),
        ]
    )


def _facts(phone: Phone | None) -> dict[str, Any] | None:
    return None if phone is None else asdict(phone)
