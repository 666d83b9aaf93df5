"""Estimators of the mean over all samples from those that were visited; one per file."""
