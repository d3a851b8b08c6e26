"""Declarative pipelines of text, pictures and their edits, on Runpod."""

__version__ = "0.1.0"
