"""Releases from where people work: read from a server, a folder or a zip; zipped, copied, sent."""
