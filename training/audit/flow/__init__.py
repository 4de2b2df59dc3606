"""Whose data this is."""
