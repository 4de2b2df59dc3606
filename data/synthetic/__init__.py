"""The synthetic clinic: invented clients, therapists and courses of treatment whose true effects are known."""
