"""Measuring kernels on the device at hand: tiles for contractions, and times of dispatches."""
