"""Adapters that are written in Python; those of other languages lie with their runners."""
