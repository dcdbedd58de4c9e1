"""Computations on arrays and tables: trials, wheel, psychometrics, water. No AWS import."""
