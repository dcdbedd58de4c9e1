"""Webhooks: what other systems are told of, as it is stored, signed and sent to them."""
