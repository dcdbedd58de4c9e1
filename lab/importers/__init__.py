"""Bring what another store holds into Fornix, keeping identifiers.

``alyx`` reads a running Alyx through its REST API, ``one_tables`` reads ONE cache tables and
``folder`` an ALF tree on disk. Each is a loop that turns its input into rows of the API's own
resources. ``carrier`` sends the rows and records the results in a ``journal`` on disk, so that an
import may be killed at any moment, resumed and repeated. The report lists the rows that could not
be carried, with the reason.
"""
