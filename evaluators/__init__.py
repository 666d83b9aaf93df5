"""Evaluators: score a live model, one value per sample and metric. One file per kind."""
