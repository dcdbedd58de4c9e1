"""The same template on one computer: embedded cloud, deploy, seed, demo."""
