"""Runs compiled models; imports neither torch nor the compiler."""
