"""Lowering of each op family to linalg."""
