"""What the lm-eval evaluator is made of: tasks, requests as tokens, plans, and the passes that answer them."""
