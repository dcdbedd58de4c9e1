"""The rig agent: upload, watch, queue."""
