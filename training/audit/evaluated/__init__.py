"""Does it work, and how sure are we."""
