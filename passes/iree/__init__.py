"""The one place that drives IREE and reads its intermediate IR."""
