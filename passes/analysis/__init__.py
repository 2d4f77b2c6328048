"""Analyses over the layout dialect that change nothing."""
