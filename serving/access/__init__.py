"""Who may ask, and writes that may be sent again."""
