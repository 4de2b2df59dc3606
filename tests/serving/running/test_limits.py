"""No more than agreed: requests of a key in a minute, requests in hand, and how long one may take."""

import asyncio
import datetime as dt
import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from fastapi import FastAPI
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.types import Message, Receive, Scope, Send

from data.database import connect
from data.errors import TooManyError
from data.sql import RECOMMENDATIONS, SETTINGS
from serving.app import create_app
from serving.running.limits import Cap, Rates
from serving.running.metrics import Metrics
from serving.settings import Limits, Settings
from serving.sources import Sources

if TYPE_CHECKING:
    from conftest import Live

NOW = dt.datetime(2026, 10, 1, 9, 0, tzinfo=dt.UTC)
ServeLive = Callable[[FastAPI], "AbstractContextManager[Live]"]


def limited(told: Settings, **limits: float) -> Settings:
    return told.model_copy(update={"limits": Limits.model_validate(limits)})


# -- requests in hand -------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 4), st.lists(st.integers(0, 3), min_size=1, max_size=20))
def test_never_more_than_the_cap_are_in_hand_and_everybody_comes_to_their_turn(cap: int, turns: list[int]) -> None:
    """An application that gives way to others a number of times, as real work does."""
    in_hand, most, answered = 0, 0, 0

    async def work(scope: Scope, _receive: Receive, _send: Send) -> None:
        nonlocal in_hand, most, answered
        in_hand += 1
        most = max(most, in_hand)
        for _ in range(scope["turns"]):
            await asyncio.sleep(0)
        in_hand -= 1
        answered += 1

    async def nothing() -> Message:
        return {"type": "http.request"}

    async def nowhere(_message: Message) -> None: ...

    async def all_at_once() -> None:
        app = SimpleNamespace(state=SimpleNamespace(service=SimpleNamespace(metrics=Metrics())))
        capped = Cap(work, Limits(at_once=cap))
        scopes = [{"type": "http", "path": "/v1/model", "turns": turn, "app": app} for turn in turns]
        await asyncio.gather(*(capped(scope, nothing, nowhere) for scope in scopes))

    asyncio.run(all_at_once())
    assert 1 <= most <= cap
    assert answered == len(turns)


@contextmanager
def nobody_writes(url: str) -> Iterator[None]:
    """Holds the database's lock for writing, as a slow writer would."""
    engine = connect(url)
    with engine.execution_options(writes=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("LOCK TABLE recommendations, settings IN EXCLUSIVE MODE"))
        yield
    engine.dispose()


def kept(service: "Live") -> int:
    with service.service.engine.connect() as connection:
        return connection.scalar(sa.select(sa.func.count()).select_from(RECOMMENDATIONS)) or 0


def test_over_the_cap_a_request_waits_no_longer_than_the_deadline_and_is_refused(
    stored: str, bundle: Path, told: Settings, body: dict[str, Any], serve_live: ServeLive
) -> None:
    """The first two are held up by the database, those behind them are told to come back; health is always answered."""
    app = create_app(limited(told, at_once=2, seconds=2.0), Sources(bundle, database=stored), lambda: NOW)
    with serve_live(app) as service, ThreadPoolExecutor(8) as threads:
        client = service.as_("platform")
        with nobody_writes(stored):
            asked = [threads.submit(client.post, "/v1/recommendations", json=body) for _ in range(8)]
            while service.service.metrics.in_hand._value.get() < 2:
                time.sleep(0.01)
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 200
            while sum(one.done() for one in asked) < 6:
                time.sleep(0.01)
        answers = [one.result() for one in asked]
        assert {answer.status_code for answer in answers} == {503}
        assert all(int(answer.headers["Retry-After"]) > 0 for answer in answers)
        details = [answer.json()["detail"] for answer in answers]
        assert sum("more requests at once" in words for words in details) == 6
        assert sum("took too long" in words for words in details) == 2
        assert kept(service) == 0
        again = client.post("/v1/recommendations", json=body)
        assert again.status_code == 200
        assert kept(service) == 1
        with (
            service.service.engine.connect() as connection
        ):  # settings too, though the first to write them was given up
            assert connection.scalar(sa.select(sa.func.count()).select_from(SETTINGS)) == 1


def test_under_load_the_cap_is_held_and_nothing_is_lost(
    stored: str, bundle: Path, told: Settings, body: dict[str, Any], serve_live: ServeLive
) -> None:
    app = create_app(
        limited(told, at_once=3, seconds=60, requests_per_minute=10_000), Sources(bundle, database=stored), lambda: NOW
    )
    with serve_live(app) as service, ThreadPoolExecutor(16) as threads:
        client, most, over = service.as_("platform"), [0.0], threading.Event()

        def watch() -> None:
            while not over.is_set():
                most.append(service.service.metrics.in_hand._value.get())

        watching = threads.submit(watch)
        answers = list(threads.map(lambda _: client.post("/v1/recommendations", json=body).status_code, range(60)))
        over.set()
        watching.result()
        assert set(answers) == {200}
        assert 1 <= max(most) <= 3
        assert kept(service) == 60


def test_a_body_that_comes_too_slowly_is_refused(
    stored: str, bundle: Path, told: Settings, serve_live: ServeLive
) -> None:
    def slowly() -> Iterator[bytes]:
        yield b"{"
        time.sleep(1.5)
        yield b"}"

    app = create_app(limited(told, seconds=0.2), Sources(bundle, database=stored), lambda: NOW)
    with serve_live(app) as service:
        answer = service.as_("platform").post(
            "/v1/recommendations", content=slowly(), headers={"content-type": "application/json"}
        )
        assert answer.status_code == 408
        assert "did not arrive in time" in answer.json()["detail"]


# -- rates ------------------------------------------------------------------------------------------------------------


def test_a_key_over_its_rate_is_told_when_to_come_back_and_others_are_not_held_up(
    stored: str, bundle: Path, told: Settings, serve_live: ServeLive
) -> None:
    app = create_app(limited(told, requests_per_minute=5), Sources(bundle, database=stored), lambda: NOW, workers=2)
    with serve_live(app) as service:
        mine, other = service.as_("platform"), service.as_("platform")
        assert [mine.get("/v1/model").status_code for _ in range(3)] == [200, 200, 429]  # half of 5: one of two workers
        refused = mine.get("/v1/model")
        assert 1 <= int(refused.headers["Retry-After"]) <= 60
        assert refused.headers["content-type"] == "application/problem+json"
        assert other.get("/v1/model").status_code == 200
        assert mine.get("/readyz").status_code == 200


@settings(deadline=None, max_examples=25)
@given(st.integers(1, 50), st.integers(1, 8), st.lists(st.sampled_from("abc"), max_size=120))
def test_workers_together_never_allow_more_than_agreed_and_always_somebody(
    agreed: int, workers: int, keys: list[str]
) -> None:
    rates = [Rates(Limits(requests_per_minute=agreed), workers) for _ in range(workers)]
    allowed, waits = dict.fromkeys(keys, 0), [1.0]
    for i, key in enumerate(keys):
        try:
            rates[i % workers].count(key)
            allowed[key] += 1
        except TooManyError as refused:
            waits.append(refused.seconds)
    assert all(1 <= seconds <= 60 for seconds in waits)
    assert all(1 <= count <= max(agreed, workers) for count in allowed.values())


@given(st.integers(1, 6), st.lists(st.integers(0, 40_000_000_000), max_size=60))
def test_no_minute_holds_more_than_agreed_and_whoever_waits_as_told_is_let_in(agreed: int, pauses: list[int]) -> None:
    second, now = 1_000_000_000, 0
    rates, let_in = Rates(Limits(requests_per_minute=agreed), clock=lambda: now), []
    for pause in pauses:
        now += pause
        try:
            rates.count("a")
        except TooManyError as refused:
            now += math.ceil(refused.seconds) * second
            rates.count("a")
        let_in.append(now)
    assert all(sum(at - 60 * second < one <= at for one in let_in) <= agreed for at in let_in)
