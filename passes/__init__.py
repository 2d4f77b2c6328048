"""Passes over the layout dialect, the lowering to linalg, and the driving of IREE."""
