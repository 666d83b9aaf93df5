"""What the three searchers of MAP share: region, models, predicted fronts, and the tree of nested merges."""
