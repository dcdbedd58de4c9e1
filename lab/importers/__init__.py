"""Bring what another store holds into Fornix, keeping identifiers.

``alyx`` reads a running Alyx through its REST API, ``one_tables`` reads ONE cache tables and
``folder`` an ALF tree on disk. Each is a loop that turns what it reads into rows of the API's own
resources; ``carrier`` sends the rows and remembers in a ``journal`` on disk what has arrived, so
that an import may be killed at any moment, resumed and repeated. What could not be carried ends
in the report with its reason.
"""
