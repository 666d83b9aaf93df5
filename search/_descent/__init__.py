"""Gradient descent on coefficients: Adam, the loss to follow, and the ratios of AMA."""
