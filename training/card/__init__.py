"""The model card: what a bundle is, in words that stand without the program."""
