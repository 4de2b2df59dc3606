"""Was anyone harmed, was anything missed."""
