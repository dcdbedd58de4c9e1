"""What a task and a pipeline are: signatures, states, graph. No AWS import."""
