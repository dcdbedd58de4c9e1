"""Task implementations, and running one in a session folder with or without a server.

A task is a function ``(session, out, arguments) -> list of paths or None`` registered under its
name as an entry point of group ``fornix.tasks``; what it declares is in ``shared.tasks``.
"""
