"""What a task and a pipeline are: signatures, states, graph. No AWS import.

``states`` has the eight statuses and the legal steps between them, ``task`` what a task declares,
``behaviour`` the built-in declarations, ``pipeline`` which tasks a session's hardware asks for and
which of them may run.
"""
