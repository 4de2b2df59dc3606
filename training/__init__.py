"""From history to a signed bundle: targets, prognosis, fit, evaluation, ranking, registry."""
