"""Labelled data, classifiers and their predictions."""
