"""The Lambda functions. They never import each other, nor lab."""
