"""Task implementations."""
