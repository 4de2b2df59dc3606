"""Screening: what a profile alone foretells of a therapist, with a wide interval and no verdict."""

import datetime as dt
import json
import subprocess
import sys
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.synthetic.truth import Truth
from training.audit.examined import Examined
from training.audit.reports import NOT_FOR, RIGHTS, TherapistReport
from training.audit.therapists.effects import effects, usual_client
from training.audit.therapists.known import Known
from training.audit.therapists.screening import NO_VERDICT, on_record, report_of, screen
from training.audit.therapists.section import examine
from training.bundle import Bundle

DAY = dt.date(2026, 10, 1)


@pytest.fixture(scope="module")
def bundle(audited: tuple[Examined, Truth]) -> Bundle:
    return audited[0].bundle


def profiles(**columns: list[Any]) -> dict[str, list[Any]]:
    """Rows of plain values, as a platform would send them."""
    return {"orientation": ["cbt"] * len(next(iter(columns.values()))), **columns}


@pytest.fixture(scope="module")
def known(audited: tuple[Examined, Truth]) -> Known:
    return Known.of(audited[0])


def test_a_profile_alone_foretells_less_surely_than_with_own_cases(known: Known):
    for head in known.heads:
        named = known.named(head)
        assert (known.by_profile[head].sd[named] > known.with_own[head].sd[named]).mean() > 0.9


def test_the_less_is_on_record_the_less_sure_it_is(bundle: Bundle):
    nothing, one, two = (
        screen(bundle, ["t-new-1"], rows, DAY)[0].expected["outcome"]
        for rows in (
            {"interpersonal_skill": [None]},
            {"interpersonal_skill": [0.0]},
            {"interpersonal_skill": [0.0], "style_homework": [0.5]},
        )
    )
    assert nothing.high - nothing.low > one.high - one.low >= two.high - two.low > 0
    assert nothing.low < nothing.value < nothing.high


def test_every_head_that_ranks_is_foretold(bundle: Bundle, known: Known):
    (found,) = screen(bundle, ["t-new-1"], profiles(interpersonal_skill=[0.5]), DAY)
    assert list(found.expected) == known.heads
    assert {one.cases for one in found.expected.values()} == {0}


def test_what_is_foretold_is_the_prior_around_the_profile(bundle: Bundle):
    prepared = bundle.therapists(["t-new-1"], profiles(interpersonal_skill=[1.0]), DAY)
    head, client = bundle.heads["outcome"], usual_client(bundle)
    found = effects(bundle, "outcome", prepared, client, own=False)
    prior = client @ head.solution.prior @ client
    assert found.sd[0] ** 2 >= prior
    columns = bundle.design.names[bundle.design.ranking]
    skill = columns.index("interpersonal_skill")
    other = bundle.therapists(["t-new-1"], profiles(interpersonal_skill=[2.0]), DAY)
    gap = effects(bundle, "outcome", other, client, own=False).value[0] - found.value[0]
    step = head.solution.b[bundle.design.ranking][skill] / bundle.design.therapist.sd[skill]
    assert gap == pytest.approx(step, rel=1e-6)


def test_an_id_that_the_bundle_knows_is_screened_from_the_profile_all_the_same(bundle: Bundle):
    known = bundle.records.ids[0]
    rows = profiles(interpersonal_skill=[0.3, 0.3])
    one, other = screen(bundle, [known, "t-new-1"], rows, DAY)
    assert one.expected == other.expected


def test_the_order_and_company_of_profiles_changes_nothing(bundle: Bundle):
    skills = [0.3, -1.0, 2.0]
    together = screen(bundle, ["t-1", "t-2", "t-3"], profiles(interpersonal_skill=skills), DAY)
    for i, skill in enumerate(skills):
        (alone,) = screen(bundle, [f"t-{i + 1}"], profiles(interpersonal_skill=[skill]), DAY)
        assert alone == together[i]


def test_screening_gives_no_verdict_and_says_how_well_profiles_foretell(bundle: Bundle):
    (found,) = screen(bundle, ["t-new-1"], profiles(interpersonal_skill=[-3.0]), DAY)
    assert NO_VERDICT in found.words
    assert NOT_FOR in found.words
    assert any("therapists held out" in line or "is not known" in line for line in found.words)
    assert set(type(found).model_fields) == {"therapist_id", "expected", "profile", "words", "rights"}
    assert found.rights == RIGHTS


def test_nothing_on_record_is_told_as_not_on_record(bundle: Bundle):
    prepared = bundle.therapists(["t-new-1", "t-new-2"], {"interpersonal_skill": [None, 1.25]}, DAY)
    unknown, known = on_record(bundle, prepared.columns)
    assert unknown["interpersonal_skill"] == ""
    assert known["interpersonal_skill"] == "1.25"
    assert unknown["orientation"] == known["orientation"] == ""


def test_words_and_sets_are_told_as_they_are(bundle: Bundle):
    rows = {"orientation": ["schema"], "qualifications": ["phd|lcsw"]}
    (record,) = on_record(bundle, bundle.therapists(["t-new-1"], rows, DAY).columns)
    assert record["orientation"] == "schema"
    assert set(record["qualification"].split("|")) == {"phd", "lcsw"}


# --- the report of whom the audit has none --------------------------------------------------------------------------


def report(bundle: Bundle, therapist_id: str, **columns: list[Any]) -> TherapistReport:
    prepared = bundle.therapists(["t-other-1", therapist_id], profiles(**columns), DAY)
    return report_of(bundle, prepared, 1, therapist_id, DAY, dt.date(2026, 1, 2))


def test_a_report_of_a_therapist_never_seen_is_what_the_profile_foretells(bundle: Bundle):
    found = report(bundle, "t-new-1", interpersonal_skill=[-2.0, 0.7])
    (screened,) = screen(bundle, ["t-new-1"], profiles(interpersonal_skill=[0.7]), DAY)
    assert found.expected == screened.expected
    assert (found.cases, found.basis, found.profile_updated_on) == (0, "profile", dt.date(2026, 1, 2))
    assert found.words[0].startswith("The model knows none of your cases")
    assert any("fewer than 15 cases: what is shown is what the profile foretells" in line for line in found.words)
    assert NOT_FOR in found.words
    assert json.dumps(found.answer())


def test_a_report_without_an_audit_tells_no_own_results(bundle: Bundle):
    place = int(np.argmax(bundle.records.counts["cases"]))
    found = report(bundle, bundle.records.ids[place], interpersonal_skill=[0.0, 0.7])
    assert found.cases == bundle.records.counts["cases"][place]
    assert all(one.cases == 0 for one in found.expected.values())
    assert not any("of your results" in line for line in found.words)


def test_who_opted_out_after_the_model_was_learned_is_told_so(bundle: Bundle):
    known = bundle.records.ids[0]
    found = report(bundle, known, interpersonal_skill=[0.0, 0.7], learning_opt_out=[False, True])
    assert found.learning_opt_out
    assert "the next one will not" in found.words[0]
    new = report(bundle, "t-new-1", interpersonal_skill=[0.0, 0.7], learning_opt_out=[False, True])
    assert new.words[0].startswith("You opted out of learning")


def test_it_is_the_report_that_the_audit_makes_of_a_therapist_without_cases(audited: tuple[Examined, Truth]):
    looked_at, dataset = audited[0], audited[0].dataset
    therapists = dataset.frames["therapists"]
    new = therapists.tail(1).assign(therapist_id="t-new-1", learning_opt_out=False)
    everyone = pd.concat([therapists, new], ignore_index=True)
    fuller = replace(looked_at, dataset=replace(dataset, frames={**dataset.frames, "therapists": everyone}))
    known = Known.of(fuller)
    row = known.ids.index("t-new-1")
    made = examine(fuller)[1]["t-new-1"]
    day, updated = dataset.manifest.as_of, made.profile_updated_on
    assert report_of(looked_at.bundle, known.prepared, row, "t-new-1", day, updated) == made


def test_a_worker_loads_nothing_for_it_beside_the_bundle():
    probe = (
        "import sys, training.bundle; before = set(sys.modules); import training.audit.therapists.screening; "
        "print(sorted({m.split('.')[0] for m in set(sys.modules) - before}))"
    )
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['training']"


def test_a_report_is_read_with_pydantic_alone():
    probe = "import sys, training.audit.reports; print({'numpy', 'pandas', 'scipy'} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "set()"
