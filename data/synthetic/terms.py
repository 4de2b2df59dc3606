"""What makes a pair fit, in truth: terms over facts of both, some in shapes that no linear model has."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from data.synthetic import words
from data.synthetic.eligibility import matches
from data.synthetic.people import NO_WISH, Clients
from data.synthetic.staff import Staff

PREFER, AVOID = words.STRENGTHS.index("prefer"), words.STRENGTHS.index("avoid")
Term = Callable[[Clients, np.ndarray, Staff, np.ndarray, np.ndarray], np.ndarray]
"""clients, their rows, staff, their rows, severity -> the term; rows and severity broadcast."""


@dataclass(frozen=True)
class MatchTerm:
    """One planted match effect on outcome, in SDs of the post score in the arm `base`."""

    name: str
    coefficient: float
    shape: Literal["linear", "product", "threshold"]
    meaning: str
    value: Term


def preferences_met(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """Share of the client's wishes (prefer, avoid) that this therapist meets, minus a half; 0 without a wish."""
    asked, met = np.zeros(np.broadcast(rows, therapists).shape), 0.0
    for topic, name in enumerate(words.TOPICS):
        strength = clients.strength[rows, topic]
        soft = (clients.wish[rows, topic] != NO_WISH) & ((strength == PREFER) | (strength == AVOID))
        fits = matches(clients, rows, staff, therapists, name) ^ (strength == AVOID)
        asked = asked + soft
        met = met + (soft & fits)
    return np.where(asked > 0, met / np.maximum(asked, 1) - 0.5, 0.0)


def trained_for_main_problem(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """Verified training for the client's main problem, centred."""
    return np.asarray(staff.trained[therapists, clients.problem[rows]] - 0.4)


def directiveness_gap(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """Distance between the directiveness wanted and given, centred."""
    return np.asarray(np.nan_to_num(np.abs(clients.styles[rows, 0] - staff.styles[therapists, 0]) - 0.24))


def homework_for_the_motivated(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """Motivation times the work given between sessions, both in SDs."""
    return np.asarray(
        np.nan_to_num((clients.motivation[rows] - 0.67) / 0.18) * (staff.styles[therapists, 2] - 0.5) / 0.2
    )


def warmth_for_the_severe(
    _clients: Clients, _rows: np.ndarray, staff: Staff, therapists: np.ndarray, severity: np.ndarray
) -> np.ndarray:
    """Severity times an expressive style in SDs."""
    return np.asarray(severity * (staff.styles[therapists, 1] - 0.5) / 0.2)


def far_from_wanted_homework(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """A step: 1 where the work given between sessions is more than .35 from what is wanted."""
    return np.asarray(1.0 * (np.abs(clients.styles[rows, 2] - staff.styles[therapists, 2]) > 0.35))


def expressive_for_the_lonely(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """A corner: 1 where little support meets an expressive style."""
    return np.asarray(1.0 * ((clients.support[rows] < 0.45) & (staff.styles[therapists, 1] > 0.55)))


def depth_after_earlier_therapies(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """A corner: 1 where two or more earlier therapies meet a psychodynamic or schema orientation."""
    deep = np.isin(staff.orientation, [words.ORIENTATIONS.index(o) for o in ("psychodynamic", "schema")])
    return np.asarray(1.0 * ((clients.prior_episodes[rows] >= 2) & deep[therapists]))


def structure_for_the_doubtful(
    clients: Clients, rows: np.ndarray, staff: Staff, therapists: np.ndarray, _severity: np.ndarray
) -> np.ndarray:
    """Agreement of two steps: 1 where low expectancy meets a directive style, or high a less directive one."""
    return np.asarray(1.0 * ((clients.expectancy[rows] < 0.55) == (staff.styles[therapists, 0] > 0.55)))


MATCH_TERMS: tuple[MatchTerm, ...] = (
    MatchTerm("preferences_met", 0.28, "linear", "share of the client's wishes met", preferences_met),
    MatchTerm("trained_for_main_problem", 0.09, "linear", "verified training", trained_for_main_problem),
    MatchTerm("directiveness_gap", -0.28, "linear", "distance from wanted directiveness", directiveness_gap),
    MatchTerm("homework_for_the_motivated", 0.035, "product", "motivation x homework", homework_for_the_motivated),
    MatchTerm("warmth_for_the_severe", 0.015, "product", "severity x expressiveness", warmth_for_the_severe),
    MatchTerm("far_from_wanted_homework", -0.09, "threshold", "over .35 from wanted", far_from_wanted_homework),
    MatchTerm("expressive_for_the_lonely", 0.11, "threshold", "low support, expressive", expressive_for_the_lonely),
    MatchTerm("depth_after_earlier_therapies", 0.11, "threshold", "2+ earlier courses", depth_after_earlier_therapies),
    MatchTerm("structure_for_the_doubtful", 0.05, "threshold", "low hope, directive", structure_for_the_doubtful),
)
