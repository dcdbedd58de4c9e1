"""The tables of IBL-pipeline in a MariaDB or MySQL server, kept in step with sessions.

DataJoint 0.14 and 2.x read them: they are declared by plain SQL with the comments that DataJoint
reads types from, in DataJoint's own naming of tables.
"""
