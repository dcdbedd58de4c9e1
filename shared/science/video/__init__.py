"""Films of a session's cameras: times of frames, how good they are, what moves in them."""
