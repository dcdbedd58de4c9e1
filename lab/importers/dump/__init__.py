"""Alyx's database as ``manage.py dumpdata`` writes it: read, put in order, carried; and written.

``reading`` reads a dump of any size row by row, ``shelf`` stores its rows in a file until their
turn comes, ``models`` declares the conversion of each of Alyx's models, ``job`` carries the rows,
and ``writing`` makes a dump of all records here.
"""
