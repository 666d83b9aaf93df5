"""A chosen candidate on disk: as a checkpoint, or as a recipe for mergekit."""
