"""What the evaluator of generated images is made of: generation, features, references, distances."""
