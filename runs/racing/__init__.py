"""Racing: candidates are scored look by look, and stop when they are not worth any more samples."""
