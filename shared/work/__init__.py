"""Stored tasks: their item, reading, creation, leases and changes by clients."""
