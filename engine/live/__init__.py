"""The live model: candidates written in place, and coefficient gradients pulled back from it."""
