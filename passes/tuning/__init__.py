"""What was measured of kernels on a device, and what is concluded from it; no device here."""
