"""The command line: one verb per file, each importing what it needs only when it runs."""
