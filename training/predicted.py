"""What to expect of one client with each of some therapists: absolute, in a clinician's units, with 80 % intervals.

Heads point upwards while they are learned; here a figure is what its name says: `early_dropout` the chance of dropping
out early, a measure its own score. How sure each head is, is learned with the bundle (`training.intervals`) and lies
beside it in `intervals.json`. The interval of a score is for one client's own result, that of a chance for the chance
of clients like this one.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt

from features.columns import Columns
from training.binary import sigmoid
from training.bundle import Bundle, Manifest
from training.config import MEASURE, OutcomeConfig
from training.conformal import Conformal, Credible, severity_of, variance_of
from training.fits import Prepared
from training.head import Head, HeadInfo, PairPosterior, used_effects

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Unit = Literal["intake_sd", "points", "probability"]

LEVEL = 80
CHANCES = {
    "retention": "chance of staying to the planned end",
    "early_dropout": "chance of dropping out before session 3",
}
LAST = {
    "last": "to the last score within {weeks} weeks of the match",
    "expected": "to the end; of those who dropped out, to what would be expected had they stayed",
    "weighted": "to the last score within {weeks} weeks of the match, of those who stay",
}


@dataclass(frozen=True)
class Span:
    """How sure one head is."""

    of: Conformal | Credible
    possible: tuple[float, float] | None = None
    """Least and greatest score there is, where the head is for a questionnaire's."""

    def as_json(self) -> dict[str, Any]:
        """Plain values for the bundle."""
        kind = "conformal" if isinstance(self.of, Conformal) else "credible"
        return {"kind": kind, "possible": self.possible and list(self.possible), **self.of.as_json()}

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """What `as_json` wrote."""
        of = (Conformal if values["kind"] == "conformal" else Credible).from_json(values)
        return cls(of, None if values["possible"] is None else (values["possible"][0], values["possible"][1]))


@dataclass(frozen=True)
class Spans:
    """One head's predictions for n therapists: `low` <= `mean` <= `high`, each (n,), in `unit`."""

    mean: Floats
    low: Floats
    high: Floats
    unit: Unit
    better: Literal["higher", "lower"]
    kind: Literal["conformal", "credible"]
    """Whether the interval is for one client's own result, or for the chance of clients like this one."""
    words: str
    """What the figure is, in words, with its unit."""
    points: Mapping[str, float]
    """Points of each instrument that make one `intake_sd`; empty for other units."""


def predicted(
    bundle: Bundle, spans: Mapping[str, Span], client: Columns, prepared: Prepared, rows: Ints
) -> dict[str, Spans]:
    """What to expect of one client with the therapists at `rows`, by head; empty for a bundle without `spans`.

    `spans` is what `training.storage.read_spans` found beside the bundle.
    """
    if not spans:
        return {}
    ranking = bundle.ranking_columns(client, prepared, rows)
    block = bundle.features.build_rows("client", client)
    effects = np.repeat(bundle.design.effect_columns(client), len(rows), axis=0)
    found = {}
    for name, span in spans.items():
        head = bundle.heads[name]
        fitted = _fitted(bundle, head, block, ranking, effects, prepared.position[rows])
        ends = _ends(span, fitted, severity_of(effects, bundle.design))
        found[name] = _read(head.info, bundle.manifest, span, *ends)
    return found


def _fitted(
    bundle: Bundle, head: Head, block: Floats, ranking: Floats, effects: Floats, position: Ints
) -> PairPosterior:
    """What is expected of every pair, on the link scale: the client's part and the fit."""
    parts = head.info.parts
    client = np.repeat(head.client_part(bundle.design, block), len(position), axis=0)
    border = np.column_stack([client, ranking if parts.columns else ranking[:, :0]])
    return head.posterior(border, effects[:, used_effects(bundle.design, parts)], position)


def _ends(span: Span, fitted: PairPosterior, severity: Floats) -> tuple[Floats, Floats, Floats]:
    """Mean, low and high on the scale of the target."""
    variance = variance_of(fitted)
    if isinstance(span.of, Credible):
        return sigmoid(fitted.mean), *span.of.interval(fitted.mean, variance, LEVEL)
    low, high = span.of.interval(fitted.mean, severity, LEVEL, variance)
    return fitted.mean, np.minimum(low, fitted.mean), np.maximum(high, fitted.mean)


def _read(info: HeadInfo, manifest: Manifest, span: Span, mean: Floats, low: Floats, high: Floats) -> Spans:
    """Turned round where lower is better, and kept within what is possible."""
    kind: Literal["conformal", "credible"] = "conformal" if isinstance(span.of, Conformal) else "credible"
    lower = info.direction == "lower"
    if lower:
        whole = 1.0 if info.kind == "binary" else 0.0
        mean, low, high = whole - mean, whole - high, whole - low
    if span.possible:
        mean, low, high = (np.clip(part, *span.possible) for part in (mean, low, high))
    unit, words = _words(info, manifest)
    points = dict(manifest.intake_sds) if unit == "intake_sd" else {}
    return Spans(mean, low, high, unit, "lower" if lower else "higher", kind, words, points)


def _words(info: HeadInfo, manifest: Manifest) -> tuple[Unit, str]:
    """Unit of a head, and what its figures are."""
    outcome = OutcomeConfig.model_validate(manifest.config["outcome"])
    if info.source == "outcome":
        size = ", ".join(f"{sd:.1f} points of {name}" for name, sd in manifest.intake_sds.items())
        until = LAST[outcome.dropout].format(weeks=outcome.weeks)
        return "intake_sd", f"improvement from intake {until}; 1 is one standard deviation at intake: {size}"
    if info.kind == "binary":
        return "probability", CHANCES.get(info.source, f"chance that {info.name.replace('_', ' ')} is 1")
    if info.source == "alliance":
        return "points", f"mean of the client's {outcome.alliance_instrument} ratings, sessions 3 to 5"
    found = MEASURE.fullmatch(info.source)
    assert found is not None  # the configuration was checked
    return "points", f"total of {found['instrument']} at session {found['session']}"
