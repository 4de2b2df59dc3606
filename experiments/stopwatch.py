"""Where the time of a training run goes: each stage alone, without the stages that it calls, in one run.

Functions are timed from outside, where they are called from, so that the product knows nothing of it. Time is that of
the processor, and beside it that of the wall: on a busy machine the second tells of the neighbours.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

import lightgbm

from training import baselines, fitting, prognosis, run, trial

READING, FEATURES, TARGETS = "what was known when", "features", "targets"
BOOSTING, PROGNOSIS = "LightGBM of the prognosis", "prognosis beside LightGBM"
MIXED, UNSURE, SHARES = "mixed fit", "variances' own uncertainty", "shares"
EVALUATION, WRITING, REST = "evaluation", "bundle", "rest"
PEERS, REMAINDER = "peers", "search for a remainder"
APART = (PEERS, REMAINDER)
STAGES = (READING, FEATURES, TARGETS, BOOSTING, PROGNOSIS, MIXED, UNSURE, SHARES, EVALUATION, WRITING, REST, *APART)

WHERE: tuple[tuple[Any, str, str], ...] = (
    (run, "for_learning", READING),
    (run, "History", READING),
    (run, "learnable", READING),
    (run, "cut", READING),
    (run, "gather", FEATURES),
    (trial, "gather", FEATURES),
    (run, "intake_sds", TARGETS),
    (trial, "intake_sds", TARGETS),
    (run, "target", TARGETS),
    (trial, "target", TARGETS),
    (prognosis, "learn", PROGNOSIS),
    (fitting.Fitting, "_fit", MIXED),
    (fitting, "unsure", UNSURE),
    (fitting.Fitting, "_stood_up", SHARES),
    (fitting, "search", REMAINDER),
    (trial, "intervals_of", EVALUATION),
    (trial, "therapists_held_out", EVALUATION),
    (run, "evaluate", EVALUATION),
    (run, "flags_of", WRITING),
    (run, "manifest_of", WRITING),
    (run, "records_of", WRITING),
    (run, "golden_of", WRITING),
    (run, "tested_of", WRITING),
    (run, "stability_of", WRITING),
    (run, "save", WRITING),
)
"""Holder and name of each function, and its stage."""


@dataclass
class Stopwatch:
    """Seconds of each stage: of the processor, and of the wall."""

    cpu: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    wall: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))
    _stack: list[str] = field(default_factory=lambda: [REST])
    _since: tuple[float, float] = (0.0, 0.0)

    def lap(self) -> None:
        """Counts the time since the last lap for the stage that runs now."""
        now = time.process_time(), time.perf_counter()
        self.cpu[self._stack[-1]] += now[0] - self._since[0]
        self.wall[self._stack[-1]] += now[1] - self._since[1]
        self._since = now

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time within counts for the stage; what peers need counts for peers, whatever they call."""
        self.lap()
        self._stack.append(PEERS if PEERS in self._stack else name)
        try:
            yield
        finally:
            self.lap()
            self._stack.pop()

    def timed(self, function: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """The function, its time counted for the stage."""

        @wraps(function, updated=())
        def watched(*args: Any, **named: Any) -> Any:
            with self.stage(stage):
                return function(*args, **named)

        return watched

    def boosting(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function of LightGBM, counted apart where the prognosis calls it."""
        apart = self.timed(function, BOOSTING)

        @wraps(function)
        def watched(*args: Any, **named: Any) -> Any:
            return (apart if self._stack[-1] == PROGNOSIS else function)(*args, **named)

        return watched

    def scoring(self, learn: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
        """Learning of peers, who are still peers when they score."""
        apart = self.timed(learn, PEERS)

        @wraps(learn)
        def watched(*args: Any, **named: Any) -> dict[str, Any]:
            return {name: self.timed(scores, PEERS) for name, scores in apart(*args, **named).items()}

        return watched


@contextmanager
def stopwatch() -> Iterator[Stopwatch]:
    """Times every stage of `training.run.train` within."""
    watch = Stopwatch()
    better: list[tuple[Any, str, Any]] = [
        (holder, name, watch.timed(getattr(holder, name), stage)) for holder, name, stage in WHERE
    ]
    for holder, name in ((lightgbm, "cv"), (lightgbm, "train"), (lightgbm.Booster, "predict")):
        better.append((holder, name, watch.boosting(getattr(holder, name))))
    better.append((trial, "learn_baselines", watch.scoring(baselines.learn_baselines)))
    kept = [(holder, name, getattr(holder, name)) for holder, name, _ in better]
    try:
        for holder, name, function in better:
            setattr(holder, name, function)
        watch._since = time.process_time(), time.perf_counter()
        yield watch
        watch.lap()
    finally:
        for holder, name, function in kept:
            setattr(holder, name, function)
