"""Who is listed: the directory in memory, and how a platform keeps it current."""
