"""Surrogates: cheap models of the objectives over coefficient space, as scikit-learn estimators."""
