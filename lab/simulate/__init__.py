"""Simulated mice, sessions and cohorts, in the formats of rigs."""
