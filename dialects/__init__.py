"""The layout dialect and the index-map algebra under it."""
