"""The engine of all resources: declarations, validation, filters, stores, routes, OpenAPI."""
