"""What foretells how long the mice of a cohort take to train."""
