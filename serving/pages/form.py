"""What somebody typed into the form, as the request of the API; and which field of the form each problem is about."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Self

from data.instruments import INSTRUMENTS
from serving.pages.words import SHEETS
from serving.schemas import FieldProblem

OTHER = "?"
"""Chosen in a list to say: not listed, typed beside it."""
FEWEST_WISHES = 2
MOST_WISHES = 20
_PICKED = ("care_level", "jurisdiction", "payer")
_TICKED = ("languages", "modalities", "availability")
_CODES = ("care_level", "modalities", "problems")
_LEFT_OUT = "exclude_therapists"


@dataclass(frozen=True)
class Typed:
    """Fields by name, each with all its values, as a browser sends them."""

    fields: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, items: Iterable[tuple[str, Any]]) -> Self:
        """From pairs of name and value; files are passed over, spaces around a value too."""
        found: dict[str, list[str]] = {}
        for name, value in items:
            if isinstance(value, str) and value.strip():
                found.setdefault(name, []).append(value.strip())
        return cls({name: tuple(values) for name, values in found.items()})

    def one(self, name: str, default: str = "") -> str:
        """The value of a field, or the default where nothing was typed."""
        return self.fields.get(name, (default,))[0]

    def all(self, name: str) -> tuple[str, ...]:
        """Every value ticked or typed for a field."""
        return self.fields.get(name, ())

    def has(self, start: str) -> bool:
        """Whether anything was typed into a field whose name begins so, such as an instrument's."""
        return any(name.startswith(f"{start}.") for name in self.fields)

    @property
    def wishes(self) -> range:
        """Numbers of the rows for wishes: those sent before, and a few to begin with."""
        used = [int(name.split(".")[1]) for name in self.fields if _is_wish(name)]
        return range(min(max([*(row + 1 for row in used), FEWEST_WISHES]), MOST_WISHES))

    def with_wish(self) -> Self:
        """The same with room for one more wish."""
        return type(self)({**self.fields, f"wish.{len(self.wishes)}.strength": ("prefer",)})


@dataclass(frozen=True)
class Asked:
    """The body that the API would be sent, and the form field that each of its parts was typed into."""

    body: dict[str, Any]
    places: Mapping[str, str]

    def field_of(self, problem: FieldProblem) -> str:
        """The form field that a problem is about; empty where it is about none."""
        name = problem.field
        while name:
            if name in self.places:
                return self.places[name]
            name = name[: max(name.rfind("."), name.rfind("["), 0)]
        return ""


def asked(typed: Typed) -> Asked:
    """The request as typed; whatever was left empty is left out, so that it is unknown and not empty."""
    measures, measured = _measures(typed)
    wishes, wished = _wishes(typed)
    excluded = _listed(typed.one(_LEFT_OUT))
    window = {end: typed.one(f"window.{end}") for end in ("from", "to") if typed.one(f"window.{end}")}
    parts = {
        "preferences": wishes,
        "measures": measures,
        "exclude_therapists": [{"therapist_id": name} for name in excluded],
        "window": window,
        "k": typed.one("k"),
    }
    body = {"client": _client(typed)} | {name: part for name, part in parts.items() if part}
    places = {f"window.{end}": f"window.{end}" for end in ("from", "to")} | {"window": "window.from", "k": "k"}
    places |= {_LEFT_OUT: _LEFT_OUT} | {f"client.{name}": f"client.{name}" for name in _client_fields()}
    return Asked(body, places | measured | wished)


def _client_fields() -> tuple[str, ...]:
    return ("client_id", "birth_year", "data_use", "interpreter", "problems", *_PICKED, *_TICKED)


def _client(typed: Typed) -> dict[str, Any]:
    client: dict[str, Any] = {
        name: typed.one(f"client.{name}") for name in ("client_id", "birth_year", "data_use", "interpreter")
    }
    client |= {name: _picked(typed, name) for name in _PICKED}
    client |= {name: _ticked(typed, name) for name in _TICKED}
    client["problems"] = _problems(typed)
    return {name: value for name, value in client.items() if value}


def _picked(typed: Typed, name: str) -> str:
    """One of a list, or what was typed beside it."""
    value, free = typed.one(f"client.{name}"), typed.one(f"client.{name}.other")
    return value if value != OTHER else _as_code(free) if name in _CODES else free


def _ticked(typed: Typed, name: str) -> list[str]:
    free = _listed(typed.one(f"client.{name}.other"))
    more = [_as_code(one) for one in free] if name in _CODES else free
    return list(dict.fromkeys([*typed.all(f"client.{name}"), *more]))


def _problems(typed: Typed) -> list[str]:
    """The main problem first."""
    main = typed.one("client.problems")
    free = [_as_code(one) for one in _listed(typed.one("client.problems.other"))]
    first = free[:1] if main == OTHER else [main] if main else []
    return list(dict.fromkeys([*first, *typed.all("client.problems.more"), *free]))


def _measures(typed: Typed) -> tuple[list[dict[str, str]], dict[str, str]]:
    found: list[dict[str, str]] = []
    places: dict[str, str] = {}
    for name in SHEETS:
        day = {"taken_on": typed.one(f"{name}.taken_on")} if typed.one(f"{name}.taken_on") else {}
        for item in range(INSTRUMENTS[name].items + 1):
            if value := typed.one(f"{name}.{item}"):
                place = f"measures[{len(found)}]"
                places |= {place: f"{name}.{item}", f"{place}.taken_on": f"{name}.taken_on"}
                found.append({"instrument": name, "item": str(item), "value": value, **day})
    return found, places


def _wishes(typed: Typed) -> tuple[list[dict[str, str]], dict[str, str]]:
    found: list[dict[str, str]] = []
    places: dict[str, str] = {}
    for row in typed.wishes:
        about, _, value = typed.one(f"wish.{row}.what").partition("=")
        if about == OTHER:
            about, value = typed.one(f"wish.{row}.about"), typed.one(f"wish.{row}.value")
            value = value if about == "language" else _as_code(value)
        if about or value:
            places |= {f"preferences[{len(found)}]": f"wish.{row}.what"}
            strength = typed.one(f"wish.{row}.strength", "prefer")
            found.append({"about": about, "value": value, "strength": strength})
    return found, places


def _is_wish(name: str) -> bool:
    parts = name.split(".")
    return len(parts) == 3 and parts[0] == "wish" and parts[1].isdecimal() and len(parts[1]) <= 3


def _listed(text: str) -> list[str]:
    """What was typed with commas between."""
    return [part.strip() for part in text.split(",") if part.strip()]


def _as_code(text: str) -> str:
    """Somebody types "Eating disorder" where the contract says `eating_disorder`."""
    return text.strip().lower().replace(" ", "_")
