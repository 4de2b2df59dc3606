"""Questions, not products: each experiment prints a table, JSON and a picture."""
