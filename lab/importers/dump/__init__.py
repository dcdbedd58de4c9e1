"""Alyx's database as ``manage.py dumpdata`` writes it: read, put in order, carried; and written.

``reading`` reads a dump of any size row by row, ``shelf`` keeps its rows in a file until their
turn comes, ``models`` says what each of Alyx's models becomes, ``job`` carries it and ``writing``
makes a dump of all that is here.
"""
