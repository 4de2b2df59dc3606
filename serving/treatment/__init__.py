"""What came of an answer: places chosen, courses of treatment, scores, safety tasks, erasure."""
