"""The journal in S3: written every half minute, compacted, compared with the table, restored."""
