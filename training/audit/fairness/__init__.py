"""For whom it works less well."""
