"""The border and therapist columns of the fit, from feature columns: standardised, centred where unknown.

A value that is unknown counts as the average of the training rows: it moves a prediction neither up nor down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from features.build import FeatureSet
from features.columns import Codes, Columns, Floats

LARGEST = 6.0  # standardised values are cut here, so that one odd cell cannot carry a prediction away


@dataclass(frozen=True)
class Scaler:
    """Names, means and standard deviations of some columns; constant columns have been left out."""

    names: tuple[str, ...]
    keep: npt.NDArray[np.int64]
    mean: Floats
    sd: Floats

    @classmethod
    def learn(cls, names: tuple[str, ...], block: Floats) -> Self:
        """Mean and SD of each column where known; columns that never vary are left out."""
        known = ~np.isnan(block)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.nansum(block, axis=0) / count
        sd = np.sqrt(np.nansum((block - mean) ** 2, axis=0) / count)
        keep = np.flatnonzero(sd > 1e-9)
        return cls(tuple(names[i] for i in keep), keep, mean[keep], sd[keep])

    def __call__(self, block: Floats) -> Floats:
        """Standardised columns, unknown values at 0."""
        return self.by_column(block.T).T

    def by_column(self, block: Floats) -> Floats:
        """The same of (columns, rows), which is ten times as fast for many rows."""
        values = (block[self.keep] - self.mean[:, None]) / self.sd[:, None]
        np.copyto(values, 0.0, where=np.isnan(values))
        return np.clip(values, -LARGEST, LARGEST, out=values)

    def as_json(self) -> dict[str, Any]:
        """Plain values for the bundle."""
        return {
            "names": list(self.names),
            "keep": self.keep.tolist(),
            "mean": self.mean.tolist(),
            "sd": self.sd.tolist(),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The scaler that `as_json` wrote."""
        keep = np.array(values["keep"], dtype=np.int64)
        return cls(tuple(values["names"]), keep, np.array(values["mean"]), np.array(values["sd"]))


@dataclass(frozen=True)
class Design:
    """What the fit sees of a pair.

    Border: intercept, prognosis, client columns | therapist columns, pair columns. The first part is the same for all
    therapists of a client and never ranks. Therapist columns of the mixed model: intercept, severity, one per problem.
    """

    client: Scaler
    therapist: Scaler
    pair: Scaler
    severity_mean: float
    severity_sd: float
    slope: bool
    problems: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the border columns."""
        return ("intercept", "prognosis", *self.client.names, *self.therapist.names, *self.pair.names)

    @property
    def ranking(self) -> slice:
        """Border columns that differ between therapists."""
        return slice(2 + len(self.client.names), len(self.names))

    @property
    def joint(self) -> int:
        """Therapist columns with a joint covariance: intercept, and severity where therapists may differ by it."""
        return 2 if self.slope else 1

    @property
    def effects(self) -> tuple[str, ...]:
        """Names of the therapist columns."""
        slope = ("severity",) if self.slope else ()
        return ("therapist", *slope, *(f"strength.{problem}" for problem in self.problems))

    def client_part(self, block: Floats, prognosis: Floats) -> Floats:
        """Intercept, prognosis and client columns, shape (rows, ranking.start)."""
        return np.column_stack([np.ones(len(prognosis)), prognosis, self.client(block)])

    def ranking_part(self, blocks: Mapping[str, Floats]) -> Floats:
        """Therapist and pair columns, from feature columns by part, shape (rows, columns that rank)."""
        return np.column_stack([self.therapist(blocks["therapist"]), self.pair(blocks["pair"])])

    def effect_columns(self, clients: Columns) -> Floats:
        """Z of each client row: 1, severity, and 1 for the main problem, shape (rows, effects)."""
        severity = (clients.number("severity") - self.severity_mean) / self.severity_sd
        severity = np.clip(np.where(np.isnan(severity), 0.0, severity), -LARGEST, LARGEST)
        main: Codes = clients.set("problems").first_codes()
        strengths = main.within(self.problems)[:, None] == np.arange(len(self.problems))[None, :]
        start = [np.ones(clients.size), severity] if self.slope else [np.ones(clients.size)]
        return np.column_stack([*start, strengths.astype(np.float64)])

    def as_json(self) -> dict[str, Any]:
        """Plain values for the bundle."""
        return {
            "client": self.client.as_json(),
            "therapist": self.therapist.as_json(),
            "pair": self.pair.as_json(),
            "severity_mean": self.severity_mean,
            "severity_sd": self.severity_sd,
            "slope": self.slope,
            "problems": list(self.problems),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Self:
        """The design that `as_json` wrote."""
        return cls(
            client=Scaler.from_json(values["client"]),
            therapist=Scaler.from_json(values["therapist"]),
            pair=Scaler.from_json(values["pair"]),
            severity_mean=values["severity_mean"],
            severity_sd=values["severity_sd"],
            slope=values["slope"],
            problems=tuple(values["problems"]),
        )


def learn_design(
    features: FeatureSet, clients: Columns, blocks: Mapping[str, Floats], slope: bool, problems: tuple[str, ...]
) -> Design:
    """Standardisation from training rows; `blocks` holds the feature columns by part (client, therapist, pair)."""
    severity = clients.number("severity")
    known = severity[~np.isnan(severity)]
    spread = float(known.std()) if len(known) > 1 else 0.0
    return Design(
        client=Scaler.learn(features.columns_of("client"), blocks["client"]),
        therapist=Scaler.learn(features.columns_of("therapist"), blocks["therapist"]),
        pair=Scaler.learn(features.columns_of("pair"), blocks["pair"]),
        severity_mean=float(known.mean()) if len(known) else 0.0,
        severity_sd=spread or 1.0,
        slope=slope and spread > 0,
        problems=problems if len(problems) > 1 else (),
    )
