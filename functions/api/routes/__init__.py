"""Routes that are not plain create, read, update, delete: one blueprint per module."""
