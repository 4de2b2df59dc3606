"""Processes: workers, the hand-over of a model, metrics, logs, limits."""
