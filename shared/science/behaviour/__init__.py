"""Behaviour of a session: raw files, trials, wheel, curves."""
