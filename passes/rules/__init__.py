"""Facts about each op family; nothing here changes IR."""
