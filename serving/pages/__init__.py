"""Pages for people: what a form offers, what was typed, and an answer as somebody reads it."""
