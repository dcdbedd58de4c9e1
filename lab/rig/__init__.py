"""The rig agent: upload, watch, simulate."""
