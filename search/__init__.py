"""Searchers: one algorithm per file, each an Optuna sampler that sees scored vectors and never a weight."""
