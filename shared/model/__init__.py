"""What travels through the system, as typed objects; no I/O, no other room."""
