"""Coefficients of the fit as it is served, with their intervals and how they moved from refit to refit."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from training.audit.examined import Examined
from training.audit.importances import Coefficient
from training.head import Head
from training.shares import Z95

DIGITS = 6


def coefficients(looked_at: Examined) -> dict[str, tuple[Coefficient, ...]]:
    """By feature that ranks, those of its columns in every head of the served bundle: in SD of the head per SD of the
    column, with 95 % posterior intervals."""
    bundle = looked_at.bundle
    names = bundle.design.names[bundle.design.ranking]
    found: dict[str, list[Coefficient]] = {}
    for name, head in bundle.heads.items():
        if not head.info.parts.columns:
            continue
        kept = _mapping(_mapping(looked_at.stability, "heads"), name)
        scale = _unit(looked_at, name, head, kept) / head.info.sd
        own = head.solution.b[len(head.solution.b) - len(names) :] * scale
        error = np.sqrt(np.diag(head.solution.b_cov))[len(head.solution.b) - len(names) :] * scale
        for column, value, sd in zip(names, own.tolist(), error.tolist(), strict=True):
            refits = _mapping(_mapping(kept, "columns"), column)
            one = Coefficient(
                head=name,
                column=column,
                value=round(value, DIGITS),
                low=round(value - Z95 * sd, DIGITS),
                high=round(value + Z95 * sd, DIGITS),
                refit_sd=refits.get("sd"),
                same_sign=refits.get("same_sign"),
            )
            found.setdefault(bundle.features.feature_of[column], []).append(one)
    return {feature: tuple(some) for feature, some in found.items()}


def _mapping(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = values.get(name, {})
    return found


def _unit(looked_at: Examined, name: str, head: Head, kept: Mapping[str, Any]) -> float:
    """The head's unit for one of the link scale, as the refits have it; else at the mean result of the test block."""
    if head.info.kind == "gaussian":
        return 1.0
    if "unit" in kept:
        return float(kept["unit"])
    goal = looked_at.goals.get(name)
    mean = 0.5 if goal is None or not goal.known.any() else float(goal.value[goal.known].mean())
    return max(mean * (1 - mean), 1e-3)


def sureness(one: Coefficient) -> float:
    """How many of its errors a coefficient lies from 0."""
    error = (one.high - one.low) / (2 * Z95)
    return abs(one.value) / error if error > 0 else 0.0


def surest(some: Iterable[Coefficient]) -> Coefficient | None:
    """The coefficient that lies farthest from 0 in its errors."""
    return max(some, key=sureness, default=None)


def sign_of(one: Coefficient) -> str:
    """The side of 0 on which its whole interval lies; `0` where it reaches both."""
    return "+" if one.low > 0 else "-" if one.high < 0 else "0"
