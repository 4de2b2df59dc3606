"""What `dataset.toml` may say: what the dataset is, which rules it answers, what it declares for itself."""

import datetime as dt
import json
import math
import re
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictBool, ValidationError, field_validator
from pydantic_core import ErrorDetails

from data.errors import ConfigError, NotFoundError, Problem, unreadable
from data.instruments import INSTRUMENTS, Instrument, declared
from data.tables import Kind

MANIFEST = "dataset.toml"
Rule = Literal[
    "conflict",
    "licence",
    "age_group",
    "care_level",
    "training",
    "payer",
    "language",
    "modality",
    "must",
    "capacity",
    "slot",
]
RULES: tuple[Rule, ...] = get_args(Rule)
"""The hard rules, in the order in which an exclusion is counted."""

ANSWERED_BY: Mapping[Rule, tuple[tuple[str, str], ...]] = {
    "licence": (("licences", "jurisdiction"),),
    "age_group": (("therapists", "age_groups"),),
    "care_level": (("therapists", "care_levels"),),
    "training": (("therapists", "trained_for"),),
    "payer": (("therapists", "payers"),),
    "language": (("therapists", "languages"),),
    "modality": (("therapists", "modalities"),),
    "capacity": (("therapists", "caseload_capacity"), ("therapists", "accepts_new")),
    "slot": (("slots", "starts_at"),),
}
"""Hard rule -> the columns (any of them) that answer it; conflict and must are answered by the request."""


class _Frozen(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class InstrumentDeclaration(_Frozen):
    """An instrument the program does not ship: enough to check its values and use it as a target.

    For one that ships, only `licence_held_by` may be said; the rest is filled in from its definition.
    """

    low: float
    high: float
    direction: Literal["higher", "lower"]
    """Whether a higher or a lower score is better."""
    meaning: str
    items: int = 0
    known: Literal["before", "after"] = "after"
    licence_held_by: str = ""
    """Who holds the licence, for an instrument that needs one."""


class ColumnDeclaration(_Frozen):
    """A column the contract does not list."""

    kind: Kind = "number"
    low: float | None = None
    high: float | None = None
    allowed: tuple[str, ...] = ()
    direction: Literal["higher", "lower", ""] = ""
    meaning: str
    known: Literal["before", "after"]


class Manifest(_Frozen):
    """What `dataset.toml` may say."""

    name: str
    as_of: dt.date | None = None
    notes: str = ""
    synthetic: StrictBool = False
    rules: tuple[Rule, ...] = ()
    undated: StrictBool = False
    instrument: Mapping[str, InstrumentDeclaration] = Field(default_factory=dict)
    column: Mapping[str, Mapping[str, ColumnDeclaration]] = Field(default_factory=dict)

    @field_validator("instrument", mode="before")
    @classmethod
    def _shipped(cls, value: Any) -> Any:
        if not isinstance(value, Mapping):
            return value
        return {
            name: _with_definition(INSTRUMENTS[name], said) if name in INSTRUMENTS and isinstance(said, dict) else said
            for name, said in value.items()
        }

    def instruments(self) -> Mapping[str, Instrument]:
        """The instruments this dataset may use: those that ship and are on, and those it declares."""
        on = {n: i for n, i in INSTRUMENTS.items() if not i.needs_licence or self.licence(n)}
        own = {n: d for n, d in self.instrument.items() if n not in INSTRUMENTS}
        return on | {n: declared(n, d.meaning, d.low, d.high, d.direction, d.items) for n, d in own.items()}

    def licence(self, name: str) -> str:
        """Who holds the licence of an instrument, "" if nobody is named."""
        return self.instrument[name].licence_held_by if name in self.instrument else ""


def _with_definition(shipped: Instrument, said: dict[str, Any]) -> dict[str, Any]:
    facts = {"low": shipped.low, "high": shipped.high, "direction": shipped.direction, "meaning": shipped.name}
    differing = sorted(key for key in said if key != "licence_held_by" and said[key] != facts.get(key))
    if differing:
        raise ValueError(f"{shipped.id} ships with the program: only licence_held_by may be said, not {differing}")
    return facts | said


def read_manifest(folder: Path) -> Manifest:
    """What `dataset.toml` says. Raises NotFoundError without the file, ConfigError with everything wrong in it."""
    path = folder / MANIFEST
    try:
        return Manifest.model_validate(_said(path))
    except ValidationError as error:
        raise ConfigError(validation_problems(str(path), error)) from None


Claims = Mapping[str, Mapping[str, str]] | None
"""Table -> column -> kind as the manifest names them, right or wrong; None if it cannot be read, so may name any."""


def read_manifest_leniently(folder: Path) -> tuple[Manifest, list[Problem], Claims]:
    """The manifest without the entries that are wrong, so that the tables can still be checked."""
    path = folder / MANIFEST
    if folder.is_dir() and not path.is_file():
        return Manifest(name=folder.name), [Problem(str(folder), f"no {MANIFEST}", "a dataset has one", "add it")], {}
    try:
        said = _said(path)
    except ConfigError as error:
        return Manifest(name=folder.name, undated=True), error.problems, None
    try:
        return Manifest.model_validate(said), [], _claims(said)
    except ValidationError as error:
        kept = _without(said, [e["loc"] for e in error.errors()])
        unsure = {"undated": True} if {"undated", "as_of"} & (said.keys() - kept.keys()) else {}
        manifest = Manifest.model_validate({"name": folder.name} | kept | unsure)
        named = said.get("instrument")
        manifest = with_unread(manifest, named if isinstance(named, dict) else ())
        return manifest, validation_problems(str(path), error), _claims(said)


def with_unread(manifest: Manifest, names: Iterable[str]) -> Manifest:
    """The manifest with instruments whose declaration cannot be read: nothing is known that a value could break."""
    anything = InstrumentDeclaration(
        low=-math.inf, high=math.inf, direction="lower", meaning="unread", items=999, licence_held_by="unread"
    )
    return manifest.model_copy(update={"instrument": dict.fromkeys(names, anything) | dict(manifest.instrument)})


def _claims(said: Mapping[str, Any]) -> Claims:
    tables = said.get("column")
    return {
        table: {name: str(d.get("kind", "")) if isinstance(d, dict) else "" for name, d in columns.items()}
        for table, columns in (tables.items() if isinstance(tables, dict) else ())
        if isinstance(columns, dict)
    }


def _said(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise NotFoundError(
            f"{path}: no such file: a dataset is a folder with {MANIFEST} -> name the folder of a dataset"
        )
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError([unreadable(path, error)]) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError([Problem(str(path), str(error), "must be TOML in UTF-8", "mend the file")]) from None


def _without(said: dict[str, Any], places: Iterable[tuple[int | str, ...]]) -> dict[str, Any]:
    """The declarations less what each place belongs to: one column of `[column]`, one `[instrument]`, or a key."""
    out = {key: dict(value) if isinstance(value, dict) else value for key, value in said.items()}
    for place in places:
        top, inner = str(place[0]), place[1:3] if place[0] == "column" else place[1:2]
        if not inner or not isinstance(out.get(top), dict):
            out.pop(top, None)
            continue
        entries = out[top]
        if len(inner) > 1 and isinstance(entries.get(inner[0]), dict):
            entries[inner[0]] = {name: d for name, d in entries[inner[0]].items() if name != inner[1]}
        else:
            entries.pop(inner[0], None)
    return out


_RULES: Mapping[str, tuple[str, str]] = {
    "missing": ("is required", "add it"),
    "extra_forbidden": ("no such key", "take it out, or spell it as documented"),
    "bool": ("must be true or false, without quotes", "write true or false"),
    "int": ("must be a whole number, without quotes", "mend the value"),
    "float": ("must be a number, without quotes", "mend the value"),
    "string_type": ("must be text", "put it in quotes"),
    "string_too_short": ("must be at least {min_length} long", "say what belongs here"),
    "too_short": ("must be at least {min_length} long", "name what belongs here"),
    "literal_error": ("must be {expected}", "take one of them"),
    "greater_than_equal": ("must be greater than or equal to {ge}", "mend the value"),
    "greater_than": ("must be greater than {gt}", "mend the value"),
    "less_than_equal": ("must be less than or equal to {le}", "mend the value"),
    "less_than": ("must be less than {lt}", "mend the value"),
    "date": ("must be a day", "write YYYY-MM-DD, without quotes"),
    "tuple": ("must be a list", "put it in [ ]"),
    "model": ("must be a table", "give its keys, as documented"),
    "dict": ("must be a table", "give its keys, as documented"),
    "mapping": ("must be a table", "give its keys, as documented"),
}
"""How a type of pydantic's findings begins -> the rule and the next step; the first that fits holds."""


def validation_problems(where: str, error: ValidationError) -> list[Problem]:
    """pydantic's findings in the words of this project, one per place."""
    return [
        Problem(f"{where} {'.'.join(map(str, e['loc']))}".rstrip(), _given(e), *_rule(e))
        for e in error.errors(include_url=False)
    ]


def _given(found: ErrorDetails) -> str:
    if found["type"] == "missing":
        return "not given"
    return "the table" if isinstance(found["input"], dict) else repr(found["input"])


def _rule(found: ErrorDetails) -> tuple[str, str]:
    for start, (rule, step) in _RULES.items():
        if found["type"].startswith(start):
            return rule.format_map(found.get("ctx", {})), step
    said = found["msg"].removeprefix("Value error, ")
    return said.replace("Input should be", "must be"), "mend it, as documented"


def manifest_toml(manifest: Manifest) -> str:
    """`dataset.toml` for a manifest; `read_manifest` gives the same manifest back."""
    return "\n".join(_toml(manifest.model_dump(mode="json", exclude_defaults=True))) + "\n"


def _toml(values: Mapping[str, object], prefix: str = "") -> list[str]:
    plain = [
        f"{_key(key)} = {_toml_value(key, value)}" for key, value in values.items() if not isinstance(value, Mapping)
    ]
    tables: list[str] = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            inner = _toml(value, f"{prefix}{_key(key)}.")
            head = [f"\n[{prefix}{_key(key)}]"] if any(not isinstance(v, Mapping) for v in value.values()) else []
            tables += head + inner
    return plain + tables


def _toml_value(key: str, value: object) -> str:
    if key == "as_of" and isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False)


def _key(key: str) -> str:
    return key if re.fullmatch(r"[A-Za-z0-9_-]+", key) else json.dumps(key)
