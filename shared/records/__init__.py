"""What is stored: DynamoDB items, their transactions, the search index."""
