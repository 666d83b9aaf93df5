"""Racing: which samples a candidate is scored on first, and when it may stop early. Pure functions, NumPy only."""
