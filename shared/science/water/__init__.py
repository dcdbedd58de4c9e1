"""Water restriction of a mouse."""
