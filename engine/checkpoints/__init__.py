"""Checkpoints: what lies on disk, opened by its kind, named as the live model names it, checked against the base."""
