"""Runs: configuration, journal and resume, the driver loop, report, choosing and publishing a model."""
