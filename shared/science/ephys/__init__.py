"""Sorted spikes: rasters, quality, drift."""
