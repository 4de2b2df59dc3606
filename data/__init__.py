"""What is known, and since when: tables, instruments, datasets, history, import, the synthetic clinic, the database."""
