"""Where a bank lies: with the live weights, in host memory, or in a mapped file; the same blocks in all of them."""
