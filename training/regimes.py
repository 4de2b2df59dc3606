"""What a way to choose brings under three regimes, at 10, 20 and all of the therapists offered.

- *free choice*: everyone gets their first choice among those offered, however many want the same therapist.
- *available slots*: the same among those who really began with someone within two weeks of the day.
- *full caseloads*: the places are exactly those taken, and clients who came together share them out so that the sum is
  highest. A therapist who is better for everyone is then worth nothing: only what differs between clients for the same
  therapist counts, so both the claim and its test leave the therapist's mean out.

The gain is the mean score of those chosen less what next-available would bring, times the slope with which such
differences came true for the therapists whom clients really saw. Under free choice and slots next-available brings the
mean of those available, under full caseloads 0.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.optimize import linear_sum_assignment

from training.evaluate import DIGITS, Offered, Resamples, slope

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Days = npt.NDArray[np.datetime64]

REGIMES = ("free choice", "available slots", "full caseloads")
SIZES = (10, 20, None)
A_SLOT_WITHIN = np.timedelta64(14, "D")
TOGETHER = 200
"""Clients, in order of arrival, who share their places under full caseloads."""
SWEEPS = 5


@dataclass(frozen=True)
class Choices:
    """The choices of some clients: pairs as in `offered`, each pair's therapist, and the clients' days of match."""

    offered: Offered
    therapist: Ints
    day: Days
    """(clients,): NaT where unknown."""
    seed: int

    def regimes(
        self, policies: Mapping[str, tuple[Floats, Floats]], weight: Floats, resamples: Resamples
    ) -> list[dict[str, Any]]:
        """A row for each regime, number of eligible and policy, in that order.

        `policies` gives each policy's response (clients,), result less prognosis, and score (pairs,), both in SD.
        Without days there are no slots to speak of; sizes larger than any choice are left out.
        """
        rows = []
        largest = int(np.bincount(self.offered.position).max())
        slots = None if np.isnat(self.day).any() else self._slots()
        for size in SIZES:
            if size is not None and size >= largest:
                continue
            kept = self.offered.among(size, self.seed)
            for name, (response, score) in policies.items():
                test = _Test(np.nan_to_num(response), np.where(np.isnan(response), 0.0, weight), resamples)
                for regime, found in self._of(score, kept, slots, test).items():
                    rows.append({"regime": regime, "eligible": size or "all", "policy": name, **found})
        if largest in SIZES:
            rows += [row | {"eligible": largest} for row in rows if row["eligible"] == "all"]
        sizes = [size or "all" for size in SIZES]
        return sorted(rows, key=lambda row: (REGIMES.index(row["regime"]), sizes.index(row["eligible"])))

    def _of(self, score: Floats, kept: Bools, slots: Bools | None, test: "_Test") -> dict[str, dict[str, Any]]:
        mean = self.offered.means(score)
        common = test.slope(self.offered.of_assigned(score) - mean, mean)
        found = {"free choice": test.row(_lead(self.offered.where(kept), score[kept]), common)}
        if slots is not None:
            open_ = kept & slots
            found["available slots"] = test.row(_lead(self.offered.where(open_), score[open_]), common)
        own, therapist = self.centred(score)
        claimed = float(own[self.assign(own, kept)].mean())
        rest = np.column_stack([mean, self.offered.of_assigned(therapist)])
        found["full caseloads"] = test.row(claimed, test.slope(self.offered.of_assigned(own), rest))
        return found

    def _slots(self) -> Bools:
        """Pairs whose therapist began with anyone within two weeks of the client's day; the assigned one did."""
        seen = self.therapist[self.offered.assigned]
        order = np.lexsort((self.day, seen))
        days, owner = self.day[order].astype("datetime64[D]").astype(np.int64), seen[order]
        span = int(A_SLOT_WITHIN.astype(np.int64))
        step = int(np.ptp(days)) + 2 * span + 2 if len(days) else 1
        line = owner * step + days - (days.min() if len(days) else 0) + span
        mine = self.day.astype("datetime64[D]").astype(np.int64)[self.offered.position] - days.min() + span
        at = self.therapist * step + mine
        begun = np.searchsorted(line, at + span, side="right") - np.searchsorted(line, at - span, side="left")
        return np.asarray((begun > 0) | self.offered.assigned)

    def centred(self, score: Floats) -> tuple[Floats, Floats]:
        """Scores less the client's and the therapist's mean, and the therapist's mean, each of shape (pairs,)."""
        client, therapist = self.offered.position, self.therapist
        cases = np.maximum(np.bincount(therapist), 1)
        clients = np.bincount(client)
        rest, total = score.copy(), np.zeros(len(cases))
        for _ in range(SWEEPS):
            rest = rest - (np.bincount(client, weights=rest) / clients)[client]
            mean = np.bincount(therapist, weights=rest) / cases
            total += mean
            rest = rest - mean[therapist]
        return rest, total[therapist]

    def assign(self, score: Floats, kept: Bools) -> Ints:
        """The pair of each client when clients who came together share their places out for the highest sum.

        Always possible: those assigned are among the pairs kept.
        """
        pairs = np.flatnonzero(kept)
        pair_of_client = np.split(pairs, np.flatnonzero(np.diff(self.offered.position[pairs])) + 1)
        seen = self.therapist[self.offered.assigned]
        order = np.argsort(self.day, kind="stable")
        chosen = np.empty(len(seen), dtype=np.int64)
        count = int(self.therapist.max()) + 1
        for start in range(0, len(order), TOGETHER):
            clients = order[start : start + TOGETHER]
            wide, where = np.full((len(clients), count), -1e6), np.full((len(clients), count), -1)
            for row, client in enumerate(clients):
                mine = pair_of_client[client]
                wide[row, self.therapist[mine]], where[row, self.therapist[mine]] = score[mine], mine
            rows, places = linear_sum_assignment(wide[:, seen[clients]], maximize=True)
            chosen[clients[rows]] = where[rows, seen[clients][places]]
        return chosen


@dataclass(frozen=True)
class _Test:
    """What came of the choices that were really made: response (clients,) with 0 where unknown, and weights."""

    response: Floats
    weight: Floats
    resamples: Resamples

    def slope(self, regressor: Floats, control: Floats) -> tuple[Any, Floats]:
        return slope(self.response, regressor, control, self.weight, self.resamples)

    def row(self, claimed: float, borne_out: tuple[Any, Floats]) -> dict[str, Any]:
        figure, draws = borne_out
        gain = self.resamples.figure(figure.value * claimed, draws * claimed)
        return {
            "claimed": round(claimed, DIGITS),
            "gain": gain.as_json(DIGITS),
            "calibration_slope": figure.as_json(DIGITS),
        }


def _lead(offered: Offered, score: Floats) -> float:
    """Mean lead of the best over the mean of those offered."""
    return float((offered.best(score) - offered.means(score)).mean())
