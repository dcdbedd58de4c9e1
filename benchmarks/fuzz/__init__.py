"""Damaged sessions, extracted by Fornix and by ibllib: `make reference-fuzz SEED=… ROUNDS=…`."""
