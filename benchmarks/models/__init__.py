"""The models of the suite, one builder each."""
