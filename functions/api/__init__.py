"""The HTTP API (Chalice): routes, authentication, permissions, OpenAPI."""
