"""Whose data may teach a model."""

import pandas as pd
from hypothesis import given, settings
from hypothesis import strategies as st

from data.consent import for_learning
from data.dataset import Dataset, Manifest


def dataset(use: list[str | None], opted_out: list[bool | None]) -> Dataset:
    """Client i sees therapist i (modulo their number) in episode `e{i}`, which has an offer, a measure, a session."""
    clients, therapists = [f"c{i}" for i in range(len(use))], [f"t{i}" for i in range(len(opted_out))]
    episodes = [f"e{i}" for i in range(len(use))]
    seen = [therapists[i % len(therapists)] for i in range(len(use))]
    frames = {
        "clients": pd.DataFrame({"client_id": clients, "data_use": pd.Series(use, dtype="str")}),
        "therapists": pd.DataFrame(
            {"therapist_id": therapists, "learning_opt_out": pd.Series(opted_out, dtype="boolean")}
        ),
        "preferences": pd.DataFrame({"client_id": clients, "about": "gender", "value": "woman", "strength": "must"}),
        "episodes": pd.DataFrame({"episode_id": episodes, "client_id": clients, "therapist_id": seen}),
        "offers": pd.DataFrame({"episode_id": episodes, "therapist_id": seen}),
        "measures": pd.DataFrame({"episode_id": episodes, "session": 0, "value": 1.0}),
        "sessions": pd.DataFrame({"episode_id": episodes, "session": 1}),
    }
    dates = ("referred_on", "matched_on", "started_on", "ended_on")
    frames["episodes"] = frames["episodes"].assign(**dict.fromkeys(dates, pd.NaT))
    return Dataset(Manifest(name="tiny", undated=True), frames)


def who(found: Dataset, table: str, column: str) -> list[str]:
    return found[table][column].tolist()


def test_nothing_of_a_client_who_agreed_to_care_only_is_left_in_any_table():
    found = for_learning(dataset(["care_only", "care_and_learning", None], [False]))
    for table in ("clients", "preferences"):
        assert who(found, table, "client_id") == ["c1", "c2"]
    for table in ("episodes", "offers", "measures", "sessions"):
        assert who(found, table, "episode_id") == ["e1", "e2"]


def test_a_therapist_who_opted_out_keeps_the_profile_and_none_of_the_cases():
    found = for_learning(dataset(["care_and_learning"] * 3, [True, None, False]))
    assert who(found, "therapists", "therapist_id") == ["t0", "t1", "t2"]
    for table in ("episodes", "offers", "measures", "sessions"):
        assert who(found, table, "episode_id") == ["e1", "e2"]


def test_a_client_stays_known_when_only_the_therapist_opted_out():
    assert who(for_learning(dataset([None], [True])), "clients", "client_id") == ["c0"]


def test_someone_waiting_is_kept():
    waiting = dataset([None], [True])
    waiting.frames["episodes"]["therapist_id"] = pd.Series([None], dtype="str")
    assert who(for_learning(waiting), "episodes", "episode_id") == ["e0"]


def test_tables_a_dataset_lacks_stay_lacking():
    bare = dataset([None], [False])
    kept = Dataset(bare.manifest, {name: bare.frames[name] for name in ("clients", "therapists", "episodes")})
    assert set(for_learning(kept).frames) == {"clients", "therapists", "episodes"}


def test_the_dataset_it_was_taken_from_is_unchanged():
    whole = dataset(["care_only"], [False])
    before = whole.fingerprint()
    for_learning(whole)
    assert whole.fingerprint() == before


USES = st.lists(st.sampled_from(["care_only", "care_and_learning", None]), min_size=1, max_size=6)


@settings(max_examples=30, deadline=None)
@given(USES, st.lists(st.sampled_from([True, False, None]), min_size=1, max_size=3))
def test_asking_twice_takes_away_no_more_than_asking_once(use: list[str | None], opted_out: list[bool | None]):
    once = for_learning(dataset(use, opted_out))
    twice = for_learning(once)
    assert once.fingerprint() == twice.fingerprint()
    kept = {f"e{i}" for i, said in enumerate(use) if said != "care_only" and not opted_out[i % len(opted_out)]}
    assert set(who(once, "episodes", "episode_id")) == kept
