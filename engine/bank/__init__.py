"""The delta bank: its layout in blocks, and how it is built piece by piece from base and members."""
