"""The live torch module: loaded, its tensors and where each stands in it."""
