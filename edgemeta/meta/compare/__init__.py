"""A run beside what one would do without meta-learning, on the same episodes."""
