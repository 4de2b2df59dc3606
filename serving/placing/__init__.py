"""A waiting list placed at once, under capacity."""
