"""Computations on arrays and tables, one folder for each kind of measurement. No AWS import."""
