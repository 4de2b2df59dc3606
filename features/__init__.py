"""What a model may see, and who may be seen: feature columns, their policy, and the hard rules of eligibility."""
