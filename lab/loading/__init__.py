"""Loading data alike from a folder, a zip, a release on a server, or a server's API."""
