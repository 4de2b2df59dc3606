"""Slots by therapist and by time: each has their own, in order, and the soonest is the first that can be booked."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.practice import Slots

HOURS = [f"2026-10-{day:02}T{hour:02}:00:00Z" for day in (1, 2, 3) for hour in (9, 17)]
rows = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(HOURS)), max_size=20)


@given(rows, st.data())
def test_the_soonest_is_the_first_of_a_therapists_own_that_can_be_booked(
    given_rows: list[tuple[int, str]], data: st.DataObject
):
    slots = Slots.of([therapist for therapist, _ in given_rows], [{"starts_at": at} for _, at in given_rows])
    bookable = np.array(data.draw(st.lists(st.booleans(), min_size=len(given_rows), max_size=len(given_rows))), bool)
    first = slots.first(bookable, 6)
    soonest = slots.starts(first)
    seen = []
    for therapist in range(6):
        own = slots.of_therapist(therapist)
        assert slots.therapist[own].tolist() == [therapist] * len(own)
        assert np.all(np.diff(slots.starts_at[own].astype(np.int64)) >= 0)
        free = own[bookable[own]]
        assert first[therapist] == (free[0] if len(free) else -1)
        assert soonest[therapist] == slots.starts_at[free[0]] if len(free) else np.isnat(soonest[therapist])
        seen += own.tolist()
    assert sorted(seen) == list(range(len(given_rows)))
