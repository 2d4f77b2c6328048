"""Compiled models on Android devices: checked, pushed, run and compared over `adb`."""
