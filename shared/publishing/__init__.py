"""Releases as they are stored: gathered from records, written once, published, withdrawn."""
