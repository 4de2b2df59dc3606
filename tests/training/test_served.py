"""What was served on a day, by the decisions on record; days are in UTC."""

import datetime as dt

from data.decisions import Action, Decision
from training.served import champion, earlier, line, on, row

DAY = dt.date(2026, 3, 10)
VERSIONS = {"b1": "1", "b2": "2", "b3": "3"}


def made(action: Action, bundle_id: str, day: int, hour: int = 12, offset: int = 0) -> Decision:
    zone = dt.timezone(dt.timedelta(hours=offset))
    return Decision(action, bundle_id, "A. Lead", "read it", made_at=dt.datetime(2026, 3, day, hour, tzinfo=zone))


def test_before_the_first_promotion_nothing_was_served():
    found = on([made("promote", "b1", 11)], DAY)
    assert (found.at_start, found.at_end, found.changes) == (None, None, ())
    assert "nothing: no model had been promoted" in "\n".join(found.lines(VERSIONS))


def test_a_day_with_two_promotions_tells_both_and_ends_with_the_second():
    record = [made("promote", "b1", 2), made("promote", "b2", 10, 9), made("promote", "b3", 10, 17)]
    found = on(record, DAY)
    assert (found.at_start, found.at_end) == (record[0], record[2])
    assert found.changes == tuple(record[1:])
    told = found.as_json(VERSIONS)
    assert (told["at_start"]["version"], told["at_end"]["version"]) == ("1", "3")
    assert [one["version"] for one in told["changes"]] == ["2", "3"]


def test_a_return_counts_as_a_promotion_does():
    record = [made("promote", "b1", 1), made("promote", "b2", 5), made("rollback", "b1", 8)]
    assert on(record, DAY).at_end == record[2]
    assert champion(record[:2]) == record[1]


def test_returning_twice_goes_further_back_and_never_forward_to_what_was_returned_from():
    record = [made("promote", f"b{i}", i) for i in (1, 2, 3)]
    assert earlier(record) == ["b2", "b1"]
    record.append(made("rollback", "b2", 4))
    assert earlier(record) == ["b1"]
    record.append(made("rollback", "b1", 5))
    assert earlier(record) == []
    record.append(made("rollback", "b3", 6))  # by name
    assert earlier(record) == ["b1"]
    assert earlier([*record, made("promote", "b1", 7)]) == ["b3"]
    assert earlier([made("sign", "b1", 1)]) == []


def test_signatures_and_verdicts_are_told_and_change_nothing():
    record = [made("promote", "b1", 1), made("sign", "b2", 10), made("reject", "b1", 10, 13)]
    found = on(record, DAY)
    assert (found.at_end, found.changes, found.decisions) == (record[0], (), tuple(record[1:]))


def test_a_day_is_one_in_utc():
    late = made("promote", "b1", 11, 2, offset=5)  # 21:00 of the tenth in UTC
    assert on([late], DAY).at_end == late
    assert on([late], DAY + dt.timedelta(days=1)).at_start == late
    assert on([late], DAY - dt.timedelta(days=1)).at_end is None
    assert row(late, VERSIONS)["made_at"] == "2026-03-10T21:00:00+00:00"
    assert line(late, {}).startswith("2026-03-10 21:00  promote   version not known (bundle b1)  by A. Lead: read it")


def test_a_reason_of_several_lines_stays_on_the_line_of_its_decision():
    forged = Decision("reject", "b1", "A. Lead", "no\n2026-03-11 12:00  approve", made_at=late_on(10))
    assert line(forged, VERSIONS).count("\n") == 0
    assert row(forged, VERSIONS)["reason"] == "no\n2026-03-11 12:00  approve"


def late_on(day: int) -> dt.datetime:
    return dt.datetime(2026, 3, day, 23, tzinfo=dt.UTC)
