"""The model suite and its measurements."""
