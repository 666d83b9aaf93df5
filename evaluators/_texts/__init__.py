"""Texts, prompts and answers: read, tokenised, batched, embedded."""
