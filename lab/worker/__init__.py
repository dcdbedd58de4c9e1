"""The on-premise worker: poll, claim, run, upload, complete."""
