"""The audit: numbers and sentences for whoever answers for the model, made once from a bundle and its data."""
