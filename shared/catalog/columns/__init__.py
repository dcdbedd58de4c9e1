"""Columns in memory: many rows, dictionary-coded, searched by whole-array operations.

A hundred thousand sessions with 150 datasets each are fifteen million rows. A Python dictionary
per row would need gigabytes; here a value is stored once and a row holds its code of one, two or
four bytes. A condition is tried once per distinct value and looked up for every row; a rare
value's rows come from a posting list. Columns of a snapshot are read from its file block by block,
as they are asked for; the same code searches both.
"""
