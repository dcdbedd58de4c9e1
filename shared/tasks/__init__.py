"""Tasks and pipelines: signatures, states, graph. No AWS import.

``signature`` says what a task declares, ``states`` has the eight statuses and the legal steps
between them, ``declared`` the built-in declarations, ``registry`` all of them by name,
``description`` the experiment description, ``planning`` the tasks that a session's hardware asks
for, ``readiness`` which of them may run.
"""
