"""What is stored: DynamoDB items, their transactions, the search index."""

import shared.records.lean  # noqa: F401 - before anything here imports botocore
