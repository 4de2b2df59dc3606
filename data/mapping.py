"""A mapping file: how foreign tables become a dataset, in TOML, without code for the source.

[dataset]                          what dataset.toml will say: name, undated, rules, declarations
[[table.clients]]                  one part of a table; several parts of one table are put below each other
file = "people.csv"                or files = [...]: read as one
[table.clients.columns]
client_id = { from = "Id", prefix = "c" }
[[drop]]                           every column of every file is used, or dropped with a reason
file = "people.csv"
columns = ["split"]
reason = "the collector's own"
"""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator, model_validator

from data.errors import ConfigError, NotFoundError, Problem, unreadable
from data.manifest import Manifest, validation_problems
from data.tables import TABLES

Scalar = bool | int | float | str


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class ColumnSource(_Frozen):
    """Where a column comes from (exactly one of the first seven), and what is done to it, in the order below."""

    source: str | None = Field(None, alias="from")
    """A column of the file."""
    constant: Scalar | None = None
    """The same value in every row."""
    row_id: str | None = None
    """This prefix and the row's number in the file (files): the same for every part that reads the same file."""
    words_in: str | None = None
    """The number of words in a column of text; the text itself stays outside."""
    difference: tuple[str, str] | None = None
    """First column minus second."""
    mean: tuple[str, ...] = ()
    """Mean of the columns; unknown if one is."""
    if_known: str | None = None
    """`then` where this column has a value, else `otherwise`."""

    then: Scalar | None = None
    otherwise: Scalar | None = None
    separator: str = ""
    """The cell is a list with this separator; what follows is done to each element, and lists are joined by `|`."""
    lower: StrictBool = False
    values: Mapping[str, str] = Field(default_factory=dict)
    """Old value -> new value; the empty text makes it unknown (takes it out of a list)."""
    unmapped: Literal["refuse", "keep", "unknown"] = "refuse"
    """What happens to values that `values` does not list."""
    scale: float = 1
    offset: float = 0
    """Unit conversion: value x scale + offset."""
    clip: tuple[float, float] | None = None
    """Lowest and highest value; what lies beyond is set to them."""
    date_format: str = ""
    """How the file writes its days, such as %d/%m/%Y."""
    prefix: str = ""
    """Put before every known value, to make a pseudonym of a number."""

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"from": value} if isinstance(value, str) else value

    @model_validator(mode="after")
    def _one_origin(self) -> "ColumnSource":
        given = [name for name in ORIGINS if getattr(self, name) not in (None, ())]
        if len(given) != 1:
            raise ValueError(f"needs exactly one of from, {', '.join(ORIGINS[1:])}, has {given or 'none'}")
        return self

    def columns(self) -> tuple[str, ...]:
        """The columns of the file that it reads."""
        single = (self.source, self.words_in, self.if_known)
        return (*(name for name in single if name), *(self.difference or ()), *self.mean)

    def is_number(self) -> bool:
        """Whether the values must be numbers on the way."""
        converted = self.scale != 1 or self.offset != 0 or self.clip is not None
        return converted or self.difference is not None or bool(self.mean)


ORIGINS = ("source", "constant", "row_id", "words_in", "difference", "mean", "if_known")


class Join(_Frozen):
    """Columns of another file, found by equal values; that file may have one row at most for each value."""

    file: str
    on: Mapping[str, str]
    """Column of this part -> column of the other file."""
    columns: Mapping[str, str]
    """Column of the other file -> the name it gets here."""
    unmatched: Literal["keep", "drop"] = "keep"


class Unpivot(_Frozen):
    """Several columns of one row become several rows; an empty cell gives no row."""

    columns: Mapping[str, str]
    """Column -> what stands for it in the column `name`."""
    name: str
    value: str


class DropRows(_Frozen):
    """Rows that do not enter, and why."""

    column: str
    is_in: tuple[str, ...] = ()
    is_empty: StrictBool = False
    reason: str = Field(min_length=1)

    @model_validator(mode="after")
    def _some_rule(self) -> "DropRows":
        if bool(self.is_in) == self.is_empty:
            raise ValueError("needs one of is_in = [...] and is_empty = true")
        return self


class Deduplicate(_Frozen):
    """Rows that agree in these columns of the table are one; without it, equal keys are a problem of the check."""

    by: tuple[str, ...] = Field(min_length=1)
    keep: Literal["first", "last"] = "first"
    reason: str = Field(min_length=1)


class Part(_Frozen):
    """One part of a table: what is read, joined, dropped, unpivoted, and which columns that gives."""

    files: tuple[str, ...] = Field(min_length=1)
    join: tuple[Join, ...] = ()
    drop_rows: tuple[DropRows, ...] = ()
    unpivot: Unpivot | None = None
    columns: Mapping[str, ColumnSource] = Field(min_length=1)
    deduplicate: Deduplicate | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_file(cls, value: Any) -> Any:
        if isinstance(value, dict) and "file" in value and "files" not in value:
            return {key: v for key, v in value.items() if key != "file"} | {"files": [value["file"]]}
        return value


class DropColumns(_Frozen):
    """Columns of a file that do not enter, and why."""

    file: str
    columns: tuple[str, ...] = Field(min_length=1)
    reason: str = Field(min_length=1)


class MappingFile(_Frozen):
    """The whole mapping file."""

    dataset: Manifest
    table: Mapping[str, tuple[Part, ...]]
    drop: tuple[DropColumns, ...] = ()

    @field_validator("table")
    @classmethod
    def _known_tables(cls, value: Mapping[str, tuple[Part, ...]]) -> Mapping[str, tuple[Part, ...]]:
        strange = sorted(set(value) - set(TABLES))
        if strange:
            raise ValueError(f"no such table: {strange}; tables are {', '.join(TABLES)}")
        return value

    def files(self) -> tuple[str, ...]:
        """Every file the mapping names, in order."""
        parts = [part for parts in self.table.values() for part in parts]
        named = [f for part in parts for f in (*part.files, *(join.file for join in part.join))]
        return tuple(dict.fromkeys([*named, *(drop.file for drop in self.drop)]))


def read_mapping(path: Path) -> MappingFile:
    """The mapping in `path`. Raises NotFoundError without the file, ConfigError with everything wrong in it."""
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file: a mapping is a TOML file -> name one")
    try:
        return MappingFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise ConfigError([unreadable(path, error)]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), str(error), "must be TOML in UTF-8", "mend the file")]) from None
    except ValidationError as error:
        raise ConfigError(validation_problems(str(path), error)) from None
