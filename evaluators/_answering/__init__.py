"""Answers that a model generates, and how they are rewarded."""
