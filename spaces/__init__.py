"""Spaces: groups of tensors, and the maps from a flat vector x to a coefficient table. NumPy only."""
