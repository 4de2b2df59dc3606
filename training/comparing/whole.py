"""Everything that can be said of two bundles beside each other."""

from typing import Any

from training.comparing.drivers import importance
from training.comparing.sides import Side, data, features
from training.comparing.tested import groups_worse, metrics


def compared(first: Side, second: Side) -> dict[str, Any]:
    """In plain values: see `data`, `features`, `importance`, `metrics` and `groups_worse`."""
    return {
        "data": data(first, second),
        "features": features(first, second),
        "importance": importance(first, second),
        "metrics": metrics(first, second),
        "groups_worse": groups_worse(first, second),
    }
