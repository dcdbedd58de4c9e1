"""Tasks and pipelines: signatures, states, graph. No AWS import.

``signature`` has a task's declaration, ``states`` the eight statuses and the legal steps between
them, ``declared`` the built-in declarations, ``registry`` all declarations by name,
``description`` the experiment description, ``planning`` the tasks that a session's hardware asks
for, ``readiness`` the decision which of them may run.
"""
