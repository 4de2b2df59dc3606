"""The routes: one module a subject; each parses, calls a room and answers."""
