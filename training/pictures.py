"""Pictures of a run: what the test found, and how far therapists differ. Titles say the finding."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas

from training.ranking import Z80
from training.run import Trained

Floats = npt.NDArray[np.float64]

INK, SOFT = "#1f4e5f", "#9db4ab"


def draw(trained: Trained, folder: Path) -> list[Path]:
    """Writes the pictures as PNG files and returns their paths."""
    pictures = {"therapists": _caterpillar(trained)}
    evaluation = trained.bundle.manifest.evaluation
    if "heads" in evaluation:
        pictures["evaluation"] = _evaluation(evaluation)
        tested = {name: head for name, head in evaluation["heads"].items() if "calibration" in head}
        if tested:
            pictures |= {"calibration": _calibration(tested), "dose_response": _dose_response(tested)}
    paths = []
    label = "SYNTHETIC: " if trained.bundle.manifest.synthetic else ""
    for name, (canvas, finding) in pictures.items():
        canvas.suptitle(label + finding, wrap=True, fontsize=11)
        paths.append(folder / f"{name}.png")
        canvas.savefig(paths[-1], dpi=120)
    return paths


def _caterpillar(trained: Trained) -> tuple[Canvas, str]:
    """Shrunken therapist effects of the first head with a weight, each with its 80 % interval; nobody is named."""
    name, learned = next((n, one) for n, one in trained.learned.items() if one.head.info.weight > 0)
    solution, sd = learned.head.solution, learned.head.info.sd
    effects = solution.effects()[:, 0] / sd if solution.prior.size else np.zeros(0)
    spread = np.sqrt(solution.within[:, 0, 0]) / sd if solution.prior.size else np.zeros(0)
    order = np.argsort(effects)
    apart = int((np.abs(effects) > Z80 * spread).sum())
    canvas = Canvas(figsize=(8, 4.5), layout="constrained")
    axes = canvas.subplots()
    axes.errorbar(
        np.arange(len(order)),
        effects[order],
        yerr=Z80 * spread[order],
        fmt=".",
        color=INK,
        ecolor=SOFT,
        markersize=4,
    )
    axes.axhline(0, color="black", linewidth=0.8)
    axes.set_xlabel("therapists, in order of the estimate (not named)")
    axes.set_ylabel("therapist effect (SD)")
    return canvas, f"{name}: {apart} of {len(order)} therapists differ from the average beyond their 80 % interval"


def _evaluation(evaluation: Mapping[str, Any]) -> tuple[Canvas, str]:
    """Differences to the baselines with 95 % intervals, head by head."""
    rows = [
        (f"{name}: {words}", head[key])
        for name, head in evaluation["heads"].items()
        if "r2" in head
        for key, words in (
            ("r2_over_patient_only", "R2 over patient-only"),
            ("r2_over_therapist_only", "R2 over therapist-only"),
            ("r2_over_therapist_mean", "R2 over therapist-mean"),
            ("rank_validity", "rank validity"),
        )
    ]
    better = sum(figure["low"] > 0 for _, figure in rows)
    canvas = Canvas(figsize=(9, 1.2 + 0.32 * len(rows)), layout="constrained")
    axes = canvas.subplots()
    place = np.arange(len(rows))[::-1]
    value = np.array([figure["value"] for _, figure in rows])
    low, high = (np.array([figure[end] for _, figure in rows]) for end in ("low", "high"))
    axes.errorbar(value, place, xerr=[value - low, high - value], fmt="o", color=INK, ecolor=SOFT)
    axes.axvline(0, color="black", linewidth=0.8)
    axes.set_yticks(place, [words for words, _ in rows])
    when = "forward in time" if evaluation["forward"] else "on clients held out (no dates)"
    axes.set_xlabel("difference of R2, or outcome SD from last to first rank (95 % interval)", loc="right")
    return canvas, f"{better} of {len(rows)} comparisons lie above 0 with their whole interval, tested {when}"


def _calibration(heads: Mapping[str, Any]) -> tuple[Canvas, str]:
    """Observed on predicted by tenths of the predictions, head by head; the line is what was predicted."""
    canvas, panels = _panels(len(heads))
    near = total = 0
    for axes, (name, head) in zip(panels, heads.items(), strict=True):
        rows = head["calibration"]["deciles"]
        predicted = np.array([row["predicted"] for row in rows])
        low, high = _with_intervals(axes, predicted, [row["observed"] for row in rows])
        near, total = near + int(((low <= predicted) & (predicted <= high)).sum()), total + len(rows)
        ends = [predicted.min(), predicted.max()] if len(rows) else [0, 1]
        axes.plot(ends, ends, color="black", linewidth=0.8)
        axes.set_xlabel("predicted")
        axes.set_title(name, fontsize=9)
    panels[0].set_ylabel("observed (95 % interval)")
    return canvas, f"In {near} of {total} tenths the interval of what was observed holds what was predicted"


def _dose_response(heads: Mapping[str, Any]) -> tuple[Canvas, str]:
    """Result less prognosis by how high the therapist seen ranked among those offered, head by head."""
    canvas, panels = _panels(len(heads))
    rising = 0
    for axes, (name, head) in zip(panels, heads.items(), strict=True):
        rows = head["dose_response"]
        middle = np.array([(row["from"] + row["to"]) / 2 for row in rows])
        _with_intervals(axes, middle, [row["mean"] for row in rows])
        rising += head["rank_validity"]["low"] > 0
        axes.axhline(0, color="black", linewidth=0.8)
        axes.set_xlabel("predicted rank, 1 = best")
        axes.set_title(name, fontsize=9)
    panels[0].set_ylabel("result less prognosis (SD)")
    return canvas, f"In {rising} of {len(heads)} heads results rise with the rank of the therapist seen, beyond chance"


def _panels(count: int) -> tuple[Canvas, list[Any]]:
    """A canvas with so many axes side by side."""
    canvas = Canvas(figsize=(1 + 2.6 * count, 3.4), layout="constrained")
    return canvas, list(canvas.subplots(1, count, squeeze=False)[0])


def _with_intervals(axes: Any, x: Floats, figures: list[Mapping[str, float]]) -> tuple[Floats, Floats]:
    """Draws figures with their intervals at x, and returns the ends."""
    value, low, high = (np.array([figure[end] for figure in figures]) for end in ("value", "low", "high"))
    axes.errorbar(x, value, yerr=[value - low, high - value], fmt="o", color=INK, ecolor=SOFT, markersize=4)
    return low, high
