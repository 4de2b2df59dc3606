"""Which kinds of clients a model has seen, as an audit says it. Light: a worker reads it beside the bundle."""

from collections.abc import Mapping

from training.audit.document import Audit, Table

FEW = 30
"""Courses learned from below which a kind of client counts as hardly seen."""
SEEN, HARDLY, NOT_SEEN = "seen", "hardly seen", "not seen"
SEEN_TABLE, NOT_SEEN_TABLE = "seen", "not_seen"
ABOUT = ("age_group", "language", "problem", "payer", "care_level")
"""By what kinds are told apart: by the client's age group, first language, first problem, payer and level of care."""


def said(about: str) -> str:
    """An attribute in words."""
    return about.replace("_", " ")


def seen_kinds(audit: Audit) -> dict[str, frozenset[str]]:
    """Attribute -> kinds of which enough courses were learned from; empty for an audit that does not say."""
    section = audit.section("data")
    parts = () if section is None else section.parts
    rows = [row for part in parts if isinstance(part, Table) and part.id == SEEN_TABLE for row in part.rows]
    return {about: frozenset(str(row[1]) for row in rows if row[0] == said(about)) for about in ABOUT if rows}


def strange(seen: Mapping[str, frozenset[str]], client: Mapping[str, str]) -> list[str]:
    """Attributes in which a client is of no kind that was seen: nothing the model says of them has a ground.

    `client` has the kinds that are known of the client. An attribute by which nobody was told apart says nothing.
    """
    return [about for about, kind in client.items() if seen.get(about) and kind not in seen[about]]
