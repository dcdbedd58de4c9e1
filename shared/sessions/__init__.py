"""Sessions as they are stored: find, create, change, delete, and read with their contents."""
