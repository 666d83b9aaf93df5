"""Devices: which there are, how much memory they have, and how a model is placed on them."""
