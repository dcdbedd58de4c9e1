"""Lossless electrophysiology codec: bytes and arrays only."""
