"""Stored items of DynamoDB, their transactions and the search index."""
