"""Does the synthetic clinic look like the field's published figures? Target, simulated value, interval, hit or miss."""

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure as Picture
from rich.table import Table
from scipy.stats import t as student

from data.errors import ConfigError, Problem
from data.synthetic.clinic import simulate
from data.synthetic.plan import Plan
from experiments.clinic_figures import FIGURES, Figure
from experiments.clinic_readings import Clinic

UNEXPLAINED = "nearest reached; the interval shows what clinics of this size vary by"


def run(
    episodes: int = 10_000,
    therapists: int = 150,
    seeds: int = 10,
    on_seed: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Every figure on `seeds` clinics of the arm `base`: means, 95 % t intervals over seeds, and the time it took.

    `on_seed` is called with clinics done and all. Raises ConfigError with fewer than two seeds.
    """
    if seeds < 2:
        raise ConfigError([Problem("seeds", str(seeds), "an interval needs at least 2", "give more seeds")])
    values, times = [], []
    for seed in range(seeds):
        plan = Plan(episodes=episodes, therapists=therapists, seed=seed)
        clinic, seconds = _timed(plan)
        values.append([figure.value(clinic) for figure in FIGURES])
        times.append(seconds)
        if on_seed is not None:
            on_seed(seed + 1, seeds)
    found = [
        _entry(figure, np.array(column)) for figure, column in zip(FIGURES, zip(*values, strict=True), strict=True)
    ]
    simulated, written = (float(np.median(column)) for column in zip(*times, strict=True))
    return {
        "experiment": "literature",
        "synthetic": True,
        "arm": "base",
        "episodes": episodes,
        "therapists": therapists,
        "seeds": seeds,
        "figures": found,
        "hits": sum(entry["hit"] for entry in found),
        "misses": [entry["name"] for entry in found if not entry["hit"]],
        "seconds_to_simulate": simulated,
        "seconds_to_write_parquet": written,
        "simulate_over_parquet": simulated / written,
    }


def table(result: dict[str, Any]) -> Table:
    """The figures as a table, misses with their reason, and the speed below."""
    clinic = f"{result['episodes']:,} episodes, {result['therapists']} therapists, {result['seeds']} seeds"
    speed = (
        f"{result['episodes']:,} episodes simulated in {result['seconds_to_simulate']:.2f} s, "
        f"{result['simulate_over_parquet']:.1f} times what writing them as Parquet takes; "
        "where a source gives no range, the range is ours"
    )
    out = Table(title=f"Synthetic clinic against the literature ({clinic})", caption=speed)
    for name in ("figure", "target", "simulated", "95 % interval", "", "source"):
        out.add_column(name, justify="right" if name in ("target", "simulated", "95 % interval") else "left")
    for f in result["figures"]:
        verdict = "hit" if f["hit"] else f"miss: {f['why']}"
        target, interval = _range(f["low"], f["high"]), _range(f["value_low"], f["value_high"])
        out.add_row(f["name"], target, f"{f['value']:.3f}", interval, verdict, f["source"])
    return out


def figure(result: dict[str, Any], path: Path) -> Path:
    """Every figure on a scale where its target range is 0 to 1: ranges as bands, simulated values as points."""
    entries = result["figures"][::-1]
    picture = Picture(figsize=(10, 0.27 * len(entries) + 1.2), layout="constrained")
    axes = picture.subplots()
    for place, f in enumerate(entries):
        width = f["high"] - f["low"]
        value, left, right = (np.clip((f[n] - f["low"]) / width, -1, 2) for n in ("value", "value_low", "value_high"))
        colour = "#1b6e53" if f["hit"] else "#b3402e"
        axes.plot([0, 1], [place, place], color="#c9d6d2", linewidth=7, solid_capstyle="butt", zorder=1)
        axes.plot([left, right], [place, place], color=colour, linewidth=1.5, zorder=2)
        axes.plot([value], [place], "o", color=colour, markersize=4, zorder=3)
        axes.text(2.05, place, f"{f['value']:.3f}  [{_range(f['low'], f['high'])}]", va="center", fontsize=7)
    axes.set_yticks(range(len(entries)), [f["name"] for f in entries], fontsize=7)
    axes.set_xlim(-1.05, 3)
    axes.set_ylim(-0.8, len(entries) - 0.2)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.set_xticks([0, 1], ["low end of target", "high end"], fontsize=7)
    hits = f"{result['hits']} of {len(entries)} figures lie in their target range"
    axes.set_title(f"SYNTHETIC clinic, arm base: {hits}", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    picture.savefig(path, dpi=150)
    return path


def _timed(plan: Plan) -> tuple[Clinic, tuple[float, float]]:
    begun = time.perf_counter()
    dataset, truth = simulate(plan)
    simulated = time.perf_counter() - begun
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        for name, frame in dataset.frames.items():
            frame.to_parquet(Path(folder) / f"{name}.parquet", index=False)
        written = time.perf_counter() - begun
    return Clinic(dataset, truth), (simulated, written)


def _entry(figure: Figure, values: np.ndarray) -> dict[str, Any]:
    mean, error = float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))
    half = float(student.ppf(0.975, len(values) - 1)) * error
    hit = bool(figure.low <= mean <= figure.high)
    return {
        "name": figure.name,
        "low": figure.low,
        "high": figure.high,
        "source": figure.source,
        "value": mean,
        "value_low": mean - half,
        "value_high": mean + half,
        "hit": hit,
        "why": "" if hit else figure.why or UNEXPLAINED,
    }


def _range(low: float, high: float) -> str:
    return f"{low:.3g} to {high:.3g}"
