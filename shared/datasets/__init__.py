"""Datasets as they are stored: register (the only writer), edit, read."""
