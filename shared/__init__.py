"""What functions, lab and infra share; imports point downwards only."""
