"""How fast the learner is: against the number of rows and therapists, beside LightGBM, and beside statsmodels.

Every measurement has a process of its own, so that its peak of memory is its own too, with one thread. Ratios are of
times in one process. Times are those of the processor; those of the wall stand beside them.
"""

import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure as Canvas
from rich.console import Group
from rich.table import Table
from threadpoolctl import threadpool_limits

from experiments.drawing import COLOURS
from training.mixed import Structure, fit
from training.sums import Sums

Floats = npt.NDArray[np.float64]
Size = tuple[int, int]

FIXED, CLIENT, USUAL, THERAPIST, PAIR, PROBLEMS = 2, 62, 32, 8, 28, 12
"""Border columns of each kind, as in a head of the synthetic clinic, and main problems."""
AT_ONCE = 100_000
"""Rows summed at once: parts of the data add up."""
REPEATS = 3


@dataclass(frozen=True)
class Sizes:
    """What is measured: rows and therapists of the mixed fit, of one training run, and beside MixedLM."""

    rows: tuple[Size, ...] = ((10_000, 150), (30_000, 150), (100_000, 150), (300_000, 150), (1_000_000, 150))
    therapists: tuple[Size, ...] = tuple((200_000, count) for count in (100, 300, 1_000, 3_000, 10_000, 20_000))
    train: tuple[Size, ...] = ((10_000, 150),)
    mixedlm: tuple[Size, ...] = ((2_000, 50), (5_000, 150), (10_000, 150), (20_000, 500))

    @property
    def count(self) -> int:
        """Measurements in all."""
        return len(self.rows) + len(self.therapists) + len(self.train) + len(self.mixedlm)


QUICK = Sizes(
    rows=((10_000, 150), (30_000, 150), (100_000, 150), (300_000, 150)),
    therapists=((100_000, 100), (100_000, 300), (100_000, 1_000), (100_000, 3_000)),
    mixedlm=((2_000, 50), (5_000, 150)),
)


def run(sizes: Sizes, on_each: Callable[[], None] = lambda: None) -> dict[str, Any]:
    """Every measurement, in order, each in a process of its own."""

    def each(measure: Callable[[Size], dict[str, Any]], what: Sequence[Size]) -> list[dict[str, Any]]:
        found = []
        for size in what:
            with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
                found.append(pool.submit(measure, size).result())
            on_each()
        return found

    rows, therapists = each(mixed_fit, sizes.rows), each(mixed_fit, sizes.therapists)
    return {
        "synthetic": True,
        "rows": rows,
        "rows_slope": slope(rows, "rows"),
        "therapists": therapists,
        "therapists_slope": slope(therapists, "therapists"),
        "train": each(full_train, sizes.train),
        "mixedlm": each(beside_mixedlm, sizes.mixedlm),
    }


def slope(found: Sequence[dict[str, Any]], along: str) -> dict[str, float]:
    """Slope of log time on log size, over all sizes and over the two largest; 1 is linear, less is better."""
    x, y = (np.log([one[name] for one in found]) for name in (along, "cpu"))
    return {"all": float(np.polyfit(x, y, 1)[0]), "largest": float((y[-1] - y[-2]) / (x[-1] - x[-2]))}


def peak() -> float:
    """The most memory that this process has had, in MB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


# --- the mixed fit alone --------------------------------------------------------------------------------------------


def structure() -> Structure:
    """Variances as those of a head that has every part."""
    ends = np.cumsum([0, FIXED, CLIENT, USUAL, THERAPIST, PAIR])
    groups = tuple(tuple(range(start, end)) for start, end in pairwise(ends[1:]))
    lean = np.zeros(ends[-1])
    lean[ends[-2] :] = 1.0
    return Structure(2, PROBLEMS, int(ends[-1]), groups, leans=(tuple(lean),), near=0.1)


def drawn(rows: int, therapists: int, seed: int = 0) -> Iterator[tuple[Floats, Floats, Floats, npt.NDArray[np.int64]]]:
    """Made-up rows of a head's width, part by part: border, therapist columns, response, therapist."""
    rng = np.random.default_rng(seed)
    size = structure().border
    profile = rng.normal(size=(therapists, THERAPIST))
    effects = rng.normal(size=(therapists, 2 + PROBLEMS)) * np.r_[0.2, 0.1, np.full(PROBLEMS, 0.1)]
    b = rng.normal(size=size) * 0.05
    for start in range(0, rows, AT_ONCE):
        n = min(AT_ONCE, rows - start)
        therapist = rng.integers(0, therapists, n)
        x = rng.normal(size=(n, size))
        x[:, 0] = 1.0
        x[:, FIXED + CLIENT + USUAL : -PAIR] = profile[therapist]
        problem = rng.integers(0, PROBLEMS, n)[:, None] == np.arange(PROBLEMS)
        z = np.column_stack([np.ones(n), x[:, FIXED], problem])
        yield x, z, x @ b + (z * effects[therapist]).sum(axis=1) + rng.normal(size=n), therapist


def mixed_fit(size: Size) -> dict[str, Any]:
    """Time of summing rows and of fitting variances and all effects to the sums; the median of several fits."""
    rows, therapists = size
    with threadpool_limits(1):
        began, at_first, summing, total = time.perf_counter(), peak(), 0.0, None
        for x, z, y, therapist in drawn(rows, therapists):
            since = time.process_time()
            part = Sums.of(x, z, y, therapist, therapists)
            total = part if total is None else total + part
            summing += time.process_time() - since
            del part
        assert total is not None
        fits = []
        for _ in range(REPEATS):
            since = time.process_time()
            fit(total, structure())
            fits.append(time.process_time() - since)
    fitting = float(np.median(fits))
    return {
        "rows": rows,
        "therapists": therapists,
        "sums_cpu": summing,
        "fit_cpu": fitting,
        "cpu": summing + fitting,
        "wall": time.perf_counter() - began,
        "peak_mb": peak(),
        "peak_mb_before": at_first,
    }


# --- a training run -------------------------------------------------------------------------------------------------


def full_train(size: Size) -> dict[str, Any]:
    """One whole `train` of a synthetic clinic, stage by stage, and how its time compares to LightGBM's in it."""
    from data.synthetic.clinic import simulate
    from data.synthetic.plan import Plan
    from experiments.stopwatch import APART, BOOSTING, stopwatch
    from training.config import TrainConfig
    from training.run import train

    dataset, _ = simulate(Plan(episodes=size[0], therapists=size[1], seed=0))
    at_first = peak()
    with tempfile.TemporaryDirectory() as folder, stopwatch() as watch:
        train(dataset, TrainConfig(), Path(folder) / "bundle")
    found: dict[str, Any] = {"episodes": size[0], "therapists": size[1]}
    for clock, seconds in (("cpu", watch.cpu), ("wall", watch.wall)):
        own = sum(spent for stage, spent in seconds.items() if stage not in APART)
        found[clock] = seconds
        found[f"own_{clock}"] = own
        found[f"times_lightgbm_{clock}"] = own / seconds[BOOSTING]
    return {**found, "peak_mb": peak(), "peak_mb_before": at_first}


# --- beside statsmodels ---------------------------------------------------------------------------------------------


def beside_mixedlm(size: Size) -> dict[str, Any]:
    """The same model by both, a random intercept and slope with ten columns, several times; medians."""
    from statsmodels.regression.mixed_linear_model import MixedLM

    ours, theirs, gaps = [], [], []
    with threadpool_limits(1), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # its optimiser warns on the way; where it arrived is told beside ours
        for seed in range(REPEATS):
            rows, therapists = size
            x, z, y, therapist = next(drawn(rows, therapists, seed))
            x, z = np.column_stack([np.ones(rows), x[:, FIXED : FIXED + 9]]), np.ascontiguousarray(z[:, :2])
            since = time.process_time()
            mine = fit(Sums.of(x, z, y, therapist, therapists), Structure(2, 0, x.shape[1]))
            ours.append(time.process_time() - since)
            since = time.process_time()
            other = MixedLM(y, x, therapist, exog_re=z).fit(reml=True, method=["bfgs"])
            theirs.append(time.process_time() - since)
            gaps.append(mine.criterion + 2 * other.llf)
    return {
        "rows": size[0],
        "therapists": size[1],
        "ours_cpu": float(np.median(ours)),
        "mixedlm_cpu": float(np.median(theirs)),
        "times_faster": float(np.median(np.array(theirs) / np.array(ours))),
        "worst_criterion_gap": float(np.max(gaps)),
        "peak_mb": peak(),
    }


# --- shown ----------------------------------------------------------------------------------------------------------


def table(result: dict[str, Any]) -> Group:
    """A table for each question."""
    return Group(
        *map(_scaling, (result, result), ("rows", "therapists")), *map(_stages, result["train"]), _mixedlm(result)
    )


def _scaling(result: dict[str, Any], along: str) -> Table:
    found = result[f"{along}_slope"]
    words = f"slope of log time {found['all']:.2f}, between the two largest {found['largest']:.2f} (1 is linear)"
    grid = Table("rows", "therapists", title=f"SYNTHETIC: the mixed fit alone, by {along}: {words}")
    for name in ("sums (CPU s)", "fit (CPU s)", "both (CPU s)", "wall with drawing (s)", "peak memory (MB)"):
        grid.add_column(name, justify="right")
    for one in result[along]:
        seconds = (f"{one[name]:.2f}" for name in ("sums_cpu", "fit_cpu", "cpu", "wall"))
        grid.add_row(f"{one['rows']:,}", f"{one['therapists']:,}", *seconds, f"{one['peak_mb']:,.0f}")
    return grid


def _stages(one: dict[str, Any]) -> Table:
    ratio = f"{one['times_lightgbm_cpu']:.2f} x LightGBM (wall {one['times_lightgbm_wall']:.2f})"
    size = f"{one['episodes']:,} episodes, {one['therapists']} therapists, peak {one['peak_mb']:,.0f} MB"
    grid = Table("stage", title=f"SYNTHETIC: one train, {size}: peers and remainder apart {ratio}")
    grid.add_column("CPU (s)", justify="right")
    grid.add_column("wall (s)", justify="right")
    for stage, seconds in one["cpu"].items():
        grid.add_row(stage, f"{seconds:.2f}", f"{one['wall'][stage]:.2f}")
    grid.add_row("all but these two", f"{one['own_cpu']:.2f}", f"{one['own_wall']:.2f}")
    return grid


def _mixedlm(result: dict[str, Any]) -> Table:
    grid = Table("rows", "therapists", title="SYNTHETIC: random intercept and slope, beside statsmodels MixedLM (REML)")
    for name in ("ours (CPU s)", "MixedLM (CPU s)", "times faster", "our criterion less theirs, at most"):
        grid.add_column(name, justify="right")
    for one in result["mixedlm"]:
        seconds = (f"{one['ours_cpu']:.4f}", f"{one['mixedlm_cpu']:.2f}", f"{one['times_faster']:.0f}")
        grid.add_row(f"{one['rows']:,}", f"{one['therapists']:,}", *seconds, f"{one['worst_criterion_gap']:.1e}")
    return grid


def picture(result: dict[str, Any], path: Path) -> Path:
    """Time against rows and therapists beside a line of slope 1, and the stages of a training run."""
    canvas = Canvas(figsize=(14, 4.4), layout="constrained")
    left, middle, right = canvas.subplots(1, 3)
    for axes, along in ((left, "rows"), (middle, "therapists")):
        x, y = ([one[name] for one in result[along]] for name in (along, "cpu"))
        axes.loglog(x, y, "o-", color=COLOURS[0], label="sums and fit")
        axes.loglog(x, [y[-1] * at / x[-1] for at in x], "--", color=COLOURS[5], label="linear")
        axes.set_xlabel(along)
        axes.set_ylabel("CPU seconds")
        axes.legend(fontsize=8, frameon=False)
    for one in result["train"][:1]:
        right.barh(list(one["cpu"])[::-1], list(one["cpu"].values())[::-1], color=COLOURS[1])
        right.set_xlabel("CPU seconds of one train")
    for axes in (left, middle, right):
        axes.spines[["top", "right"]].set_visible(False)
    canvas.suptitle("SYNTHETIC: what learning costs", fontsize=10)
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, dpi=120)
    return path
