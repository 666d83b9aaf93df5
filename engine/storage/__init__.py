"""How deltas are kept: exactly, in fewer bits, or only those that are not zero; one file each, found by its name."""
