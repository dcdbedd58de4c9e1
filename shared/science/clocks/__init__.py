"""Clocks of several devices, brought together."""
