"""Declarations of the built-in tasks, a file for each part of a session."""
