"""The inner loop: how a model learns a task. Training goes through it, and export traces it."""
