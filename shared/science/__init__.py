"""Computations on arrays and tables: trials, wheel, psychometrics, status, water. No AWS import."""
