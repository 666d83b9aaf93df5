"""Transforms: one-off functions T of the deltas, t = T(d); one file each."""
