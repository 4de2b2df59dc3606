"""An allocation as an answer: who is proposed, who is held, who waits and why, and what it does to caseloads."""

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from data.errors import Problem
from features.columns import Floats, Ints
from serving.answering.matcher import Matcher
from serving.answering.recommend import model_info
from serving.placing.allocation import Client, Posed, Terms, pose
from serving.placing.allocation_answer import (
    AllocationAnswer,
    AllocationCounts,
    CaseloadLine,
    Cases,
    GroupGain,
    Held,
    NextAvailable,
    Placed,
    SafetyNote,
    Spread,
    Unplaced,
)
from serving.placing.cases import OpenCases, Waiting
from training.assignment import Allocation, allocate
from training.assignment_list import WAITS, group_means
from training.assignment_reasons import Reason, binding, missed_floors, reasons


def allocation(
    matcher: Matcher, waiting: Sequence[Waiting], cases: OpenCases, terms: Terms, now: dt.datetime
) -> AllocationAnswer:
    """The whole list in its order: proposed, held, or waiting with a reason and a next step.

    Clients who are held until a clinician has looked keep their turn: a place is set aside, and nobody is proposed.
    Raises ConfigError for a group that is no column of the clients.
    """
    posed = pose(matcher, waiting, cases, terms, now)
    return _Told(matcher, waiting, cases, posed, allocate(posed.problem)).answer(now)


@dataclass(frozen=True)
class _Told:
    matcher: Matcher
    waiting: Sequence[Waiting]
    cases: OpenCases
    posed: Posed
    found: Allocation

    def answer(self, now: dt.datetime) -> AllocationAnswer:
        problem, found, directory = self.posed.problem, self.found, self.matcher.directory
        numbers = range(len(self.waiting))
        readable = {i: one for i in numbers if isinstance(one := self.posed.clients[i], Client)}
        held = [i for i in numbers if i in readable and readable[i].assessment.status == "held"]
        placed = [i for i in numbers if found.chosen[i] != WAITS and i not in held]
        why = {one.client: one for one in reasons(problem, found)}
        told, soonest = (self._without(held, rows) for rows in (found.chosen, found.next_available))
        left = [self._unplaced(i, readable.get(i), why[i]) for i in numbers if i in why and i not in held]
        first = next(iter(readable.values()), None)
        return AllocationAnswer(
            as_of=self.matcher.today(now),
            model=model_info(self.matcher.bundle.manifest, self.matcher.version, directory.meta),
            counts=AllocationCounts(
                waiting=len(self.waiting),
                placed=len(placed),
                held=len(held),
                unplaced=len(left),
                places=int(self.matcher.directory.places(now).sum()),
            ),
            utility=self._mean_utility(told),
            utility_next_available=self._mean_utility(soonest),
            assignments=[self._placed(i, readable[i]) for i in placed],
            held=[self._held(i, readable[i]) for i in held],
            unassigned=left,
            groups=self._groups(told, soonest),
            missed_floors=missed_floors(problem, found),
            binding=binding(problem, replace(found, chosen=told), directory.ids),
            prices={
                directory.ids[row]: round(float(found.price[row]), 6) for row in np.flatnonzero(found.price > 1e-9)
            },
            caseloads=self._caseloads(told),
            spread={
                "before": self._spread(np.full(len(self.waiting), -1)),
                "next_available": self._spread(problem.therapists(found.next_available)),
                "allocated": self._spread(problem.therapists(found.chosen)),
            },
            rules_not_checked=list(first.judgement.not_checked) if first else [],
            notes=self._notes(),
        )

    def _placed(self, number: int, one: Client) -> Placed:
        options, row = self.posed.problem.options, int(self.found.chosen[number])
        soonest, slot = int(self.found.next_available[number]), int(options.slot[row])
        wait = _days(options.wait[row])
        other = None if soonest == WAITS else self._next(soonest)
        base = None if other is None else other.wait_days
        starts = self.matcher.directory.practice.slots.starts_at
        return Placed(
            episode_id=self.waiting[number].episode_id,
            client_id=self.waiting[number].client_id,
            therapist_id=self.matcher.directory.ids[int(options.therapist[row])],
            utility=float(options.utility[row]),
            starts_at=None if slot < 0 else starts[slot].item().replace(tzinfo=dt.UTC),
            wait_days=wait,
            extra_days=None if wait is None or base is None else wait - base,
            next_available=other,
            safety=self._safety(one),
        )

    def _next(self, row: int) -> NextAvailable:
        options = self.posed.problem.options
        return NextAvailable(
            therapist_id=self.matcher.directory.ids[int(options.therapist[row])],
            utility=float(options.utility[row]),
            wait_days=_days(options.wait[row]),
        )

    def _held(self, number: int, one: Client) -> Held:
        settings = self.matcher.settings
        return Held(
            episode_id=self.waiting[number].episode_id,
            client_id=self.waiting[number].client_id,
            words=one.assessment.words(settings),
            place_set_aside=bool(self.found.chosen[number] != WAITS),
            next_step=settings.held_next_step or settings.next_step,
        )

    def _unplaced(self, number: int, one: Client | None, reason: Reason) -> Unplaced:
        who = self.waiting[number]
        if one is None:
            problems = self.posed.clients[number]
            assert isinstance(problems, list)
            return Unplaced(
                episode_id=who.episode_id,
                client_id=who.client_id,
                why="unreadable",
                words="; ".join(f"{problem.where}: {problem.rule}" for problem in problems),
                next_step="; ".join(_steps(problems)),
                excluded={},
            )
        return Unplaced(
            episode_id=who.episode_id,
            client_id=who.client_id,
            why=reason.kind,
            words=reason.words,
            next_step=reason.next_step,
            excluded=one.judgement.counts(),
            safety=self._safety(one),
        )

    def _safety(self, one: Client) -> SafetyNote:
        return SafetyNote(status=one.assessment.status, words=one.assessment.words(self.matcher.settings))

    def _without(self, held: Sequence[int], chosen: Ints) -> Ints:
        """Without those who are held: whom they would see is told nowhere before a clinician has talked with them."""
        told = chosen.copy()
        told[list(held)] = WAITS
        return told

    def _mean_utility(self, chosen: Ints) -> float | None:
        placed = chosen != WAITS
        return float(self.posed.problem.utilities(chosen)[placed].mean()) if placed.any() else None

    def _groups(self, told: Ints, soonest: Ints) -> list[GroupGain]:
        problem = self.posed.problem
        ours, theirs = (group_means(problem, one) for one in (told, soonest))
        return [
            GroupGain(
                group=group.name, clients=int(group.member.sum()), allocated=_or_none(a), next_available=_or_none(b)
            )
            for group, a, b in zip(problem.groups, ours, theirs, strict=True)
        ]

    def _all_cases(self, therapist: Ints) -> OpenCases:
        """Open cases with those of the list who are placed, held clients included."""
        new = [(row, one) for row, one in zip(therapist, self.posed.clients, strict=True) if row >= 0]
        clients = [one for _, one in new if isinstance(one, Client)]
        cases = self.cases
        return OpenCases(
            np.concatenate([cases.therapist, np.array([row for row, _ in new], dtype=np.int64)]),
            np.concatenate([cases.severity, np.array([one.severity for one in clients], dtype=np.float64)]),
            np.concatenate([cases.severe, np.array([one.severe for one in clients], dtype=bool)]),
            np.concatenate([cases.risk, np.array([one.risk for one in clients], dtype=bool)]),
        )

    def _caseloads(self, told: Ints) -> list[CaseloadLine]:
        after = self._all_cases(self.posed.problem.therapists(told))
        ids = self.matcher.directory.ids
        changed = np.unique(self.posed.problem.therapists(told))
        return [
            CaseloadLine(therapist_id=ids[row], before=_cases(self.cases, row), after=_cases(after, row))
            for row in changed[changed >= 0].tolist()
        ]

    def _spread(self, therapist: Ints) -> Spread:
        cases = self._all_cases(therapist)
        lines = [_cases(cases, row) for row in np.unique(cases.therapist).tolist()]
        means = np.array([line.severity for line in lines if line.severity is not None])
        return Spread(
            severity_mean=float(means.mean()) if len(means) else None,
            severity_sd=float(means.std()) if len(means) else None,
            severity_max=float(means.max()) if len(means) else None,
            severe_max=max((line.severe for line in lines), default=0),
            risk_max=max((line.risk for line in lines), default=0),
        )

    def _notes(self) -> list[str]:
        therapists = self.matcher.directory.practice.therapists
        unknown = np.isnan(therapists.number("caseload_capacity") - therapists.number("open_cases"))
        unknown |= np.isnan(therapists.number("accepts_new"))
        said = []
        if unknown.any():
            said.append(f"{int(unknown.sum())} therapists have no places on record and take nobody in this allocation.")
        if not self.found.exact:
            said.append(
                "The solver ran out of time: this is the best allocation it had found, not proven to be the best."
            )
        return said


def _cases(cases: OpenCases, row: int) -> Cases:
    mine = cases.therapist == row
    known: Floats = cases.severity[mine & ~np.isnan(cases.severity)]
    return Cases(
        cases=int(mine.sum()),
        severity=float(known.mean()) if len(known) else None,
        severe=int((cases.severe & mine).sum()),
        risk=int((cases.risk & mine).sum()),
    )


def _days(value: float) -> int | None:
    return None if np.isnan(value) else int(value)


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _steps(problems: Sequence[Problem]) -> list[str]:
    return list(dict.fromkeys(problem.next_step for problem in problems if problem.next_step))
