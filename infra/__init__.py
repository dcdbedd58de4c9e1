"""Infrastructure as code: one CDK app, one construct file per concern."""
