"""Pictures of a run: what the test found, and how far therapists differ. Titles say the finding."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Canvas

from training.ranking import Z80
from training.run import Trained

INK, SOFT = "#1f4e5f", "#9db4ab"


def draw(trained: Trained, folder: Path) -> list[Path]:
    """Writes the pictures as PNG files and returns their paths."""
    pictures = {"therapists": _caterpillar(trained)}
    evaluation = trained.bundle.manifest.evaluation
    if "heads" in evaluation:
        pictures["evaluation"] = _evaluation(evaluation)
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
