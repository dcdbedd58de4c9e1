"""Where the sites of a probe lie in the brain, by its traced and aligned track."""
