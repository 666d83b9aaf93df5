"""The fused passes over all blocks: the write, the products of gradients with deltas, and their compilation."""
