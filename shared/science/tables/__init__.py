"""The tables that users of IBL-pipeline query: their columns and keys, and the rows of a mouse.

One declaration serves a database for DataJoint and Parquet for SQL. Names, attributes and keys are
those of IBL-pipeline (2022), as far as the analyses of its papers use them. `institution_short`
is in the tables used for these, but not in the last public definition.
"""
