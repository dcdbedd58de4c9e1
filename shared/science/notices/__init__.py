"""What people of a lab are to be told, who of them, and when: decisions only."""
