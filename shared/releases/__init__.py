"""Releases without a cloud: manifests, their differences, descriptions, zips, copies."""
