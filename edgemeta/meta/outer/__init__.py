"""The outer loop: how an init is learned from many tasks."""
