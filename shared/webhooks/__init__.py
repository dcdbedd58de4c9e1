"""Webhooks: events for other systems, as they are stored, signed and sent."""
