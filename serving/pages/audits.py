"""Audits that were put before people, and where things are on their pages."""

from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote

import sqlalchemy as sa

from data.decisions import Decision, Evidence, evidence_of, history, published
from data.errors import BundleError, NotAllowedError, NotFoundError
from data.sql import TENANT
from serving.access.keys import Caller
from training.audit.document import Audit, Chart, Section, Table
from training.report.people import NO_RANKING, people_table, person

KEPT = 2
"""Audits that a worker keeps in memory."""
EVERYBODY = "therapists/all"
"""The page of all therapists."""
NOT_AUDITED = "the bundle {} was not audited -> run `therapist-fit audit {} --data DATASET`, and it is shown here"

ANOTHER_VERSION = (
    "the audit {} was made by another version of this program, which reads it no longer; it is kept as it was "
    "-> run `therapist-fit audit {} --data DATASET`, and it is shown here"
)


@dataclass(frozen=True)
class Shown:
    """One audit as it was put before people; also where its pages are."""

    evidence: Evidence
    audit: Audit
    text: bytes
    """`audit.json` byte for byte."""

    @property
    def root(self) -> str:
        """Address of its first page."""
        return f"/audit/{self.evidence.evidence_hash}"

    def href(self, page: str) -> str | None:
        """Address of a page such as `feature/NAME`; None for one that there is not."""
        return f"{self.root}/{quote(page)}" if self.find(page) is not None else None

    def picture(self, page: str, chart: Chart) -> str:
        """Address of a picture."""
        return f"{self.root}/{quote(page)}/picture/{chart.id}.svg"

    def data(self, page: str, part: Table | Chart) -> str:
        """Address of the data of a table or a picture."""
        return f"{self.root}/{quote(page)}/data/{part.id}.csv"

    def find(self, page: str) -> Section | None:
        """What stands on a page."""
        kind, _, name = page.partition("/")
        if kind == "section":
            return self.audit.section(name)
        if page == EVERYBODY:
            return _everybody(self.audit)
        if kind == "therapist" and name in self.audit.therapists:
            return person(self.audit.therapists[name])
        found = {"feature": self.audit.features, "group": self.audit.groups}.get(kind, {})
        return found.get(name)


@dataclass(frozen=True)
class Live:
    """Where things are on a page that is made anew each time: its tables have data, nothing else stands behind it."""

    name: str

    def href(self, _page: str) -> str | None:
        """Nothing is known of other pages here."""
        return None

    def picture(self, _page: str, chart: Chart) -> str:
        """Address of a picture."""
        return f"/audit/{self.name}/picture/{chart.id}.svg"

    def data(self, _page: str, part: Table | Chart) -> str:
        """Address of the data of a table."""
        return f"/audit/{self.name}/data/{part.id}.csv"


class Audits:
    """The audits that were put before those who decide, the last ones in memory. All are the tenant `default`'s."""

    def __init__(self, engine: sa.Engine):
        self._engine = engine
        self._read = lru_cache(KEPT)(self._parsed)

    def listed(self) -> list[Evidence]:
        """All of them, the newest first."""
        return published(self._engine)

    def named(self, name: str) -> Shown:
        """By its evidence hash, or the newest of a bundle. Raises NotFoundError without one."""
        for one in self.listed():
            if name in (one.evidence_hash, one.bundle_id):
                return self._read(one)
        raise NotFoundError(f"audit {name[:64]!r}: none by this name was published -> see those that there are")

    def of(self, bundle_id: str) -> Shown:
        """The newest one of a bundle. Raises NotFoundError, which says what to run, where it was not audited."""
        for one in self.listed():
            if one.bundle_id == bundle_id:
                return self._read(one)
        raise NotFoundError(NOT_AUDITED.format(bundle_id, bundle_id))

    def decisions(self, shown: Shown) -> list[Decision]:
        """Those on record about the bundle of an audit."""
        return [one for one in history(self._engine) if one.bundle_id == shown.audit.bundle_id]

    def _parsed(self, one: Evidence) -> Shown:
        """Raises NotFoundError for an audit that another version of the program wrote and this one cannot read."""
        text = evidence_of(self._engine, one.evidence_hash)
        try:
            return Shown(one, Audit.parse(text, f"evidence {one.evidence_hash}"), text)
        except BundleError:
            raise NotFoundError(ANOTHER_VERSION.format(one.evidence_hash, one.bundle_id)) from None


def of_the_model(caller: Caller) -> None:
    """Raises NotAllowedError for a tenant that the model was not learned for: its therapists are not theirs to see."""
    if caller.tenant != TENANT:
        raise NotAllowedError(
            "the audit of the model is for those who run it; your own clients are under Safety and Recommendations "
            "-> ask whoever runs the service for the audit as a file"
        )


def _everybody(audit: Audit) -> Section | None:
    table = people_table(audit.therapists)
    return None if table is None else Section(id="therapists", title="Therapists", says=NO_RANKING, parts=(table,))


def part_of(section: Section, name: str) -> Table | Chart:
    """A table or picture by its id. Raises NotFoundError without one."""
    for one in section.parts:
        if one.kind != "words" and one.id == name:
            return one
    raise NotFoundError(f"{name[:64]!r}: no table or picture by this name is on this page -> see the page")


def picture_of(section: Section, name: str) -> Chart:
    """A picture by its id. Raises NotFoundError without one."""
    found = part_of(section, name)
    if found.kind == "chart":
        return found
    raise NotFoundError(f"{name[:64]!r}: no picture by this name is on this page -> see the page")
