"""Live adapters: candidates that stay factored, beside weights that are never written."""
