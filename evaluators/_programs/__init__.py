"""The user's programs: how they are run, and the weights that they are given."""
