"""Notices as they are stored: gathered from records, written once, sent, logged."""
