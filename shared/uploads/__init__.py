"""Uploads: what a client asks for, what is stored of it, and where its bytes are."""
