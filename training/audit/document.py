"""What an audit says, as plain data: `audit.json` beside a bundle, which every door shows and none computes again.

Light to import: a worker reads it without pandas.
"""

import datetime as dt
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from data.errors import BundleError
from training.audit.importances import Importance
from training.audit.reports import TherapistReport

FORMAT = 1
FILE = "audit.json"


class Plain(BaseModel):
    """Data that is written once and never changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Estimate(Plain):
    """A number with its interval; `low` and `high` are None where none is known."""

    value: float
    low: float | None = None
    high: float | None = None


Cell = Estimate | int | float | str | None
"""None is what is not known, or not shown because too few are behind it: the table's note says which."""


class Column(Plain):
    """A column of a table: a name for programs, words for people, how many decimals."""

    name: str
    label: str
    unit: str = ""
    digits: int = 2


class Table(Plain):
    """Rows that people read and programs fetch as CSV."""

    kind: Literal["table"] = "table"
    id: str = Field(pattern=r"^[a-z0-9_.-]+$")
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    pages: tuple[str | None, ...] = ()
    """For each row the page about it (`feature/wishes_met`, `group/gender`), or nothing at all."""
    note: str = ""


class Chart(Plain):
    """A picture whose title says the finding, with its data and words for those who do not see it."""

    kind: Literal["chart"] = "chart"
    id: str = Field(pattern=r"^[a-z0-9_.-]+$")
    title: str
    alt: str
    """What the picture shows, in a sentence or two that stand for it."""
    svg: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    note: str = ""


class Words(Plain):
    """A heading and paragraphs."""

    kind: Literal["words"] = "words"
    title: str = ""
    lines: tuple[str, ...]


Part = Annotated[Table | Chart | Words, Field(discriminator="kind")]
Level = Literal["fine", "note", "look", "stop"]
"""fine: as it should be; note: good to know; look: a person should look at it before signing; stop: mend it first."""


class Finding(Plain):
    """One statement that a person may act on."""

    level: Level
    words: str
    page: str | None = None
    """The page about it: `feature/NAME`, `group/NAME`, or `section/ID`."""


class Section(Plain):
    """One question that a clinical lead has, and what there is to say: sentences first, then pictures and tables."""

    id: str = Field(pattern=r"^[A-Za-z0-9_.:-]+$")
    title: str
    """The question: What drives the ranking?"""
    says: tuple[str, ...]
    """The answer in plain sentences, the most important one first."""
    findings: tuple[Finding, ...] = ()
    parts: tuple[Part, ...] = ()

    @field_validator("parts")
    @classmethod
    def _apart(cls, parts: tuple[Part, ...]) -> tuple[Part, ...]:
        """Tables and charts are fetched by their ids."""
        ids = [part.id for part in parts if not isinstance(part, Words)]
        twice = sorted({one for one in ids if ids.count(one) > 1})
        if twice:
            raise ValueError(f"tables or charts called the same: {', '.join(twice)}")
        return parts


class Audit(Plain):
    """Everything an audit of one bundle says."""

    format: int = FORMAT
    bundle_id: str
    name: str
    dataset: str
    synthetic: bool
    as_of: dt.date | None
    made_at: dt.datetime
    policy_hash: str
    sections: tuple[Section, ...]
    features: Mapping[str, Section]
    """A page for each feature that the model uses, by its name."""
    groups: Mapping[str, Section]
    """A page for each attribute by which clients are grouped, by its name."""
    importance: Importance
    therapists: Mapping[str, TherapistReport]
    """By therapist id: what a therapist may see of themselves."""

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Those of all sections, the most urgent first."""
        order = {"stop": 0, "look": 1, "note": 2, "fine": 3}
        every = [one for section in self.sections for one in section.findings]
        return tuple(sorted(every, key=lambda one: order[one.level]))

    def section(self, name: str) -> Section | None:
        """The section of that id."""
        return next((one for one in self.sections if one.id == name), None)

    def write(self, folder: Path) -> Path:
        """Writes `audit.json` into the bundle's folder, whole or not at all."""
        part, path = folder / f".{FILE}", folder / FILE
        part.write_text(self.model_dump_json())
        return part.replace(path)

    @classmethod
    def parse(cls, text: str | bytes, where: str) -> Self:
        """From the text of `audit.json`. Raises BundleError if it is not one."""
        try:
            return cls.model_validate_json(text)
        except ValidationError as error:
            first = error.errors()[0]
            raise BundleError(
                f"{where}: not a readable audit ({first['loc']}: {first['msg']}) -> audit again"
            ) from None


def read(folder: Path | str) -> Audit:
    """The audit beside a bundle. Raises BundleError if there is none or it cannot be read."""
    path = Path(folder) / FILE
    try:
        return Audit.parse(path.read_text(), str(path))
    except OSError:
        raise BundleError(f"{folder}: not audited -> run `therapist-fit audit {folder} --data DATASET`") from None


def evidence_hash(text: bytes) -> str:
    """Sixteen hex digits over the bytes of `audit.json`: what a person had before them when they decided."""
    return hashlib.sha256(text).hexdigest()[:16]
