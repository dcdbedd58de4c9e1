"""Training status of a mouse."""
