"""Training runs: what one was told, what it keeps, and what it becomes as a model again."""
