"""What drives the ranking, and apart from it the prognosis."""
