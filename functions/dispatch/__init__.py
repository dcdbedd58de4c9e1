"""The task graph at work: create, promote, send, lease, requeue, sweep."""
