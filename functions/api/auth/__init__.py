"""Who calls: passwords, tokens, and how many tries at them."""
