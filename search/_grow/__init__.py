"""How spaces grow: coordinates that a stage frees, a model of the losses in them, and the walk from stage to stage."""
