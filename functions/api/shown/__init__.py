"""What several families of resources show of each other; below them all."""
