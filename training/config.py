"""What a training run may be told, in TOML. Unknown keys are errors; all problems are reported at once."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from data.errors import ConfigError, NotFoundError, Problem
from data.manifest import validation_problems

Kind = Literal["gaussian", "binary"]
SOURCES: dict[str, tuple[Kind, Literal["higher", "lower"]]] = {
    "outcome": ("gaussian", "higher"),
    "alliance": ("gaussian", "higher"),
    "retention": ("binary", "higher"),
    "early_dropout": ("binary", "lower"),
}
"""Targets the program defines itself: kind, and which way is better."""

MEASURE = re.compile(r"measure:(?P<instrument>[a-z0-9_.-]+)@(?P<session>\d+)")

QUESTION = (
    r"^([12468]\.(i|ii|iii|iv)|7\.(i|ii|iii|iv|v)|[359]\.(i|ii)"
    r"|dpia\.(retention|consultation|basis|processors|outcome|review))$"
)
"""Ids of questions of the model card that an organisation may answer: see `training/texts`."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class HeadConfig(_Frozen):
    """One target to learn."""

    name: str = Field(pattern=r"[a-z][a-z0-9_]*")
    source: str
    """`outcome`, `alliance`, `retention`, `early_dropout`, or `measure:INSTRUMENT@SESSION`."""
    kind: Kind = "gaussian"
    direction: Literal["higher", "lower"] | None = None
    """Which way is better; a measure's is that of its instrument, and may be left out."""
    weight: float = Field(0.0, ge=0)
    """Weight in the utility, per standard deviation."""
    landmark: int | None = Field(None, ge=1)
    """Admits measures of sessions 1..landmark as client features: for analysis, never served."""

    @model_validator(mode="before")
    @classmethod
    def _of_source(cls, values: Any) -> Any:
        if isinstance(values, dict) and values.get("source") in SOURCES:
            kind, direction = SOURCES[values["source"]]
            return {"kind": kind, "direction": direction, **values}
        return values

    @model_validator(mode="after")
    def _known_source(self) -> Self:
        if self.source not in SOURCES and not MEASURE.fullmatch(self.source):
            raise ValueError(f"source must be one of {', '.join(SOURCES)}, or measure:INSTRUMENT@SESSION")
        return self


DEFAULT_HEADS = (
    HeadConfig(name="outcome", source="outcome", weight=1.0),
    HeadConfig(name="alliance", source="alliance", weight=0.5),
    HeadConfig(name="retention", source="retention", weight=0.5),
    HeadConfig(name="early_dropout", source="early_dropout"),
)


class OutcomeConfig(_Frozen):
    """How the `outcome` and `alliance` targets are read from measures."""

    instruments: tuple[str, ...] = ("phq9", "gad7")
    weeks: int = Field(26, gt=0)
    """A last score counts up to this many weeks after the match."""
    alliance_instrument: str = "wai_sr"
    dropout: Literal["last", "expected", "weighted"] = "last"
    """The outcome of clients who dropped out: their last score; the score expected at the end had they stayed; or
    none, and whoever stayed although they might well have left counts for more."""


class FeaturesConfig(_Frozen):
    """Which features to use: all that the policy allows, plus `include`, less `exclude`."""

    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


class PrognosisConfig(_Frozen):
    """The boosted model of what to expect whoever the therapist is."""

    boosted: bool = True
    folds: int = Field(5, ge=2)
    learning_rate: float = Field(0.05, gt=0, le=1)
    leaves: int = Field(15, ge=2)
    fewest_in_leaf: int = Field(40, ge=1)
    rounds: int = Field(400, ge=1)
    """At most; the number used is the one with the least cross-validated error."""
    refits: int = Field(1, ge=0)
    """How often the prognosis is fitted again on the target less the fit: clients are not sent at random."""
    threads: int = Field(1, ge=1)


class FitConfig(_Frozen):
    """Parts of the fit between client and therapist."""

    therapist: bool = True
    """A therapist effect."""
    slope: bool = True
    """Therapists may differ more, or less, where symptoms are severe."""
    strengths: bool = True
    """Therapists may have their own strengths by main problem."""
    columns: bool = True
    """Profile, match and track columns."""
    weighed: bool = True
    """Each part of the fit counts as far as it stands up to clients not seen."""
    remainder: bool = True
    """Small trees over the columns that rank are looked for, and kept where they stand up to clients not seen."""
    binary_variances: Literal["laplace", "quasi_likelihood"] = "laplace"
    """How it is found how far therapists differ in a binary head: the second is faster, and finds them too alike."""


class SplitConfig(_Frozen):
    """Time blocks: train, then tune, then test. The test block is read once per promotion."""

    test_share: float = Field(0.15, gt=0, lt=0.35)
    tune_share: float = Field(0.15, gt=0, lt=0.35)
    wait_weeks: int = Field(30, ge=0)
    """Only episodes matched at least this long before the cut have had time to show their result."""


class TrainConfig(_Frozen):
    """A training run."""

    name: str = "therapist-fit"
    dataset: str = ""
    """Folder of the dataset, from where the command runs; a command may name another."""
    seed: int = 0
    heads: tuple[HeadConfig, ...] = DEFAULT_HEADS
    outcome: OutcomeConfig = OutcomeConfig()
    features: FeaturesConfig = FeaturesConfig()
    prognosis: PrognosisConfig = PrognosisConfig()
    fit: FitConfig = FitConfig()
    split: SplitConfig = SplitConfig()
    bootstraps: int = Field(500, ge=50)
    """Resamples of therapists behind every interval of the evaluation."""
    card: Mapping[Annotated[str, Field(pattern=QUESTION)], str] = Field(default_factory=dict)
    """What the organisation itself answers to questions of the model card, by id: `"1.i" = "Clinic North, ..."`."""

    @model_validator(mode="after")
    def _heads_make_sense(self) -> Self:
        names = [head.name for head in self.heads]
        if len(set(names)) < len(names):
            raise ValueError(f"head names must differ, got {', '.join(names)}")
        if not any(head.weight > 0 for head in self.heads):
            raise ValueError("at least one head needs a weight above 0, or there is nothing to rank by")
        return self

    @classmethod
    def read(cls, path: Path | str) -> Self:
        """The configuration in a TOML file. Raises ConfigError with every problem, NotFoundError without a file."""
        path = Path(path)
        if not path.is_file():
            raise NotFoundError(f"{path}: no such file: a configuration is a TOML file -> name one, or leave it out")
        try:
            return cls.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise ConfigError([Problem(str(path), str(error), "must be TOML in UTF-8", "mend the file")]) from None
        except ValidationError as error:
            raise ConfigError(validation_problems(str(path), error)) from None


def flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Settings by dotted names such as `fit.slope`; those of a head by its own name, as `head.outcome.weight`."""
    for key, value in settings.items():
        if isinstance(value, Mapping):
            yield from flat(value, f"{prefix}{key}.")
        elif key == "heads":
            for head in value:
                yield from flat({k: v for k, v in head.items() if k != "name"}, f"head.{head['name']}.")
        else:
            yield f"{prefix}{key}", value


def told(what: Path, config: Path | None, data: Path | None) -> tuple[Path, TrainConfig]:
    """Dataset and configuration of a command that names either of them first.

    `what` is a configuration (a TOML file, whose dataset `data` may replace) or the folder of a dataset. Raises
    ConfigError where one is named twice, or the dataset not at all.
    """
    if what.suffix == ".toml":
        found = TrainConfig.read(what)
        twice = None if config is None else Problem("--config", str(config), f"{what} is one already", "name one")
        missing = Problem(
            str(what), "no dataset", "a run needs data", "set dataset = FOLDER in it, or give --data FOLDER"
        )
        problem = twice or (missing if data is None and not found.dataset else None)
        if problem:
            raise ConfigError([problem])
        return data or Path(found.dataset), found
    if data is not None:
        raise ConfigError([Problem("--data", str(data), f"{what} is a dataset already", "name one")])
    return what, TrainConfig() if config is None else TrainConfig.read(config)
