"""Whether the experiment that holds audits against the truth counts what it says it counts."""

from functools import partial
from types import SimpleNamespace
from typing import Any, Literal, cast

from experiments.audit_truth import TOLD, of_groups, run, table
from training.audit.document import Audit, Finding, Section


def test_it_runs_as_its_command_calls_it_and_tells_every_clinic() -> None:
    told: list[None] = []
    asked = partial(run, 300, 12, 2, arms=())
    found = asked(lambda: told.append(None))
    assert len(told) == 2
    ((kind, shares),) = found["kinds"].items()
    assert kind == "base, ethnicity=black harmed"
    assert set(shares) == set(TOLD) - {"null_matters"}
    assert all(0 <= one["low"] <= one["value"] <= one["high"] <= 1 for one in shares.values())
    assert all(one["low"] < one["high"] for one in shares.values()), "two clinics show nothing for sure"
    assert table(found).row_count == len(TOLD)


def audit_with(*findings: Finding) -> Audit:
    section = Section(id="groups", title="For whom", says=(), findings=findings)
    return cast(Audit, SimpleNamespace(section=lambda _: section))


def finding(level: Literal["stop", "look", "note"], words: str, page: str) -> Finding:
    return Finding(level=level, words=words, page=page)


def test_a_group_that_truly_gains_less_is_not_counted_as_named_for_harm() -> None:
    less = finding("look", "Severity at intake lower third gains less", "group/severity_band")
    harmed = finding("stop", "Ethnicity black: improvement is lower", "group/ethnicity")
    wrong = finding("stop", "Gender man: improvement is lower", "group/gender")

    def counted(*found: Finding) -> dict[str, Any]:
        return of_groups(audit_with(*found), "ethnicity=black")

    assert counted(less, harmed) == {"harmed_named": 1.0, "groups_named": 0.0, "groups_looked_at": 0.0}
    assert counted(less, wrong) == {"harmed_named": 0.0, "groups_named": 1.0, "groups_looked_at": 0.0}
    assert of_groups(audit_with(less), None) == {"harmed_named": None, "groups_named": 0.0, "groups_looked_at": 0.0}
