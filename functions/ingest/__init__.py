"""S3 upload events: validate, register, reject."""
