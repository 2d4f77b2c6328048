"""`smartmem devices`: what this machine can run models on."""

from __future__ import annotations

import click

from smartmem.cli.options import json_option
from smartmem.cli.output import print_json, print_pairs


@click.command(name="devices")
@json_option
def command(as_json: bool) -> None:
    """List the devices of this machine, with the target that suits each."""
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
