"""Scheduled analyses: write data for the results site."""
