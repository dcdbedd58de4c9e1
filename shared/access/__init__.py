"""Who sees what and who does what: decisions only, without I/O."""
