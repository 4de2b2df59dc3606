"""Does the scoring give the published figures of 5,093 adults who answered PHQ-9 (NHANES 2017-2018)?"""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
from rich.table import Table

from data.change import at_caseness
from data.dataset import read_csv
from data.errors import DataError, NotFoundError, Problem
from data.instruments import PHQ9
from data.scoring import band, total

FILE = Path("nhanes_phq9") / "nhanes_2017_2018_dpq.csv"
ITEMS = {
    "DPQ010": "HaveLittleInterestInDoingThings",
    "DPQ020": "FeelingDownDepressedOrHopeless",
    "DPQ030": "TroubleSleepingOrSleepingTooMuch",
    "DPQ040": "FeelingTiredOrHavingLittleEnergy",
    "DPQ050": "PoorAppetiteOrOvereating",
    "DPQ060": "FeelingBadAboutYourself",
    "DPQ070": "TroubleConcentratingOnThings",
    "DPQ080": "MovingOrSpeakingSlowlyOrTooFast",
    "DPQ090": "ThoughtYouWouldBeBetterOffDead",
}
"""Variable of the survey -> column of the file, in the order of PHQ-9's items."""
DIFFICULTY = ("DPQ100", "DifficultyTheseProblemsHaveCaused")
"""Asked beside the nine items, in words, and never summed."""
_IN_WORDS = ("Not at all difficult", "Somewhat difficult", "Very difficult", "Extremely difficult")

Floats = npt.NDArray[np.float64]


def run(data: Path) -> dict[str, Any]:
    """The figures of `expected.json`, computed with the program's own scoring.

    `data` is the folder of real data. Raises NotFoundError without the file, DataError if a column is missing.
    """
    frame = _read(data / FILE)
    answers = frame[list(ITEMS.values())].apply(pd.to_numeric).to_numpy(float)
    scores = total(PHQ9, answers)
    complete = ~np.isnan(scores)
    whole = answers[complete]
    prorated = total(PHQ9, answers[~complete], missing="prorate")
    names, counts = np.unique(band(PHQ9, scores[complete]).astype(str), return_counts=True)
    by_band = dict(zip(names, counts, strict=True))
    return {
        "item_counts_0123": _item_counts(frame),
        "rows": len(frame),
        "complete": int(complete.sum()),
        "partial": int((~complete).sum()),
        "mean": round(float(scores[complete].mean()), 4),
        "sd": round(float(scores[complete].std(ddof=1)), 4),
        "alpha": round(cronbach_alpha(whole), 4),
        "severity": {f"{b.low}-{b.high}": int(by_band.get(b.name, 0)) for b in PHQ9.bands},
        "ge10": int(at_caseness(PHQ9, scores[complete]).sum()),
        "item9_gt0_complete": int((whole[:, 8] > 0).sum()),
        "diagnostic_algorithm_major": int(major_depression_algorithm(whole).sum()),
        "partial_prorated": int((~np.isnan(prorated)).sum()),
    }


def table(result: dict[str, Any]) -> Table:
    """The figures for people to read."""
    out = Table("figure", "value", title="PHQ-9 in NHANES 2017-2018")
    for name, value in result.items():
        if name != "item_counts_0123":
            shown = ", ".join(f"{k}: {n}" for k, n in value.items()) if isinstance(value, dict) else str(value)
            out.add_row(name, shown)
    for name, counts in result["item_counts_0123"].items():
        out.add_row(f"{name}: 0, 1, 2, 3", ", ".join(map(str, counts)))
    return out


def cronbach_alpha(answers: Floats) -> float:
    """Internal consistency of complete answers (rows x items): k/(k-1) (1 - sum of variances / variance of sum)."""
    k = answers.shape[1]
    within, whole = answers.var(axis=0, ddof=1).sum(), answers.sum(axis=1).var(ddof=1)
    return float(k / (k - 1) * (1 - within / whole))


def major_depression_algorithm(answers: Floats) -> npt.NDArray[np.bool_]:
    """PHQ-9's count of criteria: at least five items at 2 or more (item 9 at 1 or more), item 1 or 2 among them.

    A survey's figure, not a diagnosis.
    """
    met = answers >= 2
    met[:, 8] = answers[:, 8] >= 1
    return np.asarray((met.sum(axis=1) >= 5) & met[:, :2].any(axis=1))


def _item_counts(frame: pd.DataFrame) -> dict[str, list[int]]:
    counts = {
        name: [int((pd.to_numeric(frame[column]) == answer).sum()) for answer in range(4)]
        for name, column in ITEMS.items()
    }
    name, column = DIFFICULTY
    return counts | {name: [int((frame[column] == words).sum()) for words in _IN_WORDS]}


def _read(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file: the survey's answers are read from there -> give --data FOLDER")
    frame = read_csv(path)
    missing = [column for column in (*ITEMS.values(), DIFFICULTY[1]) if column not in frame]
    if missing:
        raise DataError(
            [Problem(str(path), column, "no such column", "give the file as published") for column in missing]
        )
    return frame
