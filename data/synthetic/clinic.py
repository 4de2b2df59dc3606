"""Makes a synthetic clinic: the tables that a real clinic would have, and apart from them what is true."""

from dataclasses import dataclass, replace

import numpy as np

from data.dataset import Dataset
from data.synthetic import assignment, course, effects, frames, intake, measures, people, records, staff, words
from data.synthetic.drawing import generators
from data.synthetic.eligibility import reachable
from data.synthetic.manifest import manifest
from data.synthetic.plan import ARMS, Plan
from data.synthetic.truth import Truth


@dataclass(frozen=True)
class Origin:
    """Where numbering starts: a clinic written in parts counts on from one to the next."""

    client: int = 0
    therapist: int = 0
    episode: int = 0
    site: int = 0


def simulate(plan: Plan, origin: Origin | None = None) -> tuple[Dataset, Truth]:
    """The clinic's dataset and its truth. Raises ConfigError if no column or value is as `plan.harm` says."""
    origin = origin or Origin()
    rng = generators(plan.seed)
    team = staff.hire(plan, rng["staff"], origin.therapist)
    clients, referrals = people.admit(plan, rng["clients"], origin.client)
    clients = _all_reachable(plan, clients, referrals, team)
    assessed = intake.assess(plan, clients, referrals, rng["intake"])
    brought = effects.needs(plan, clients, referrals, assessed)
    planted = effects.draw(plan, team, clients, referrals, assessed.severity, rng["effects"])
    truth = Truth(
        plan=plan,
        episode_ids=np.array([f"e-{origin.episode + i:07d}" for i in range(plan.episodes)]),
        therapist_ids=np.array(team.ids),
        clients=clients,
        client_of=referrals.client,
        staff=team,
        severity=assessed.severity,
        composite=assessed.composite,
        era=((referrals.day + referrals.delay > -365) & ARMS[plan.arm].drift).astype(int),
        needs=brought,
        effects=planted,
        therapist=np.full(plan.episodes, -1),
        offers=np.empty((0, 2), int),
        propensity=np.empty(0),
    )
    drawn = course.luck(plan, rng["course"])
    made = assignment.assign(plan, truth, referrals, assessed, rng["assignment"], drawn)
    truth = replace(truth, therapist=made.courses.therapist, offers=made.offers, propensity=made.propensity)
    return _dataset(plan, truth, referrals, assessed, drawn, made, rng, origin.site), truth


def _all_reachable(
    plan: Plan, clients: people.Clients, referrals: people.Referrals, team: staff.Staff
) -> people.Clients:
    """Whoever no therapist could see on the day of the first referral asks for what the clinic has."""
    day = np.full(len(clients.numbers), np.inf)
    np.minimum.at(day, referrals.client, referrals.day)
    return reachable(plan, clients, day, team)


def _dataset(
    plan: Plan,
    truth: Truth,
    referrals: people.Referrals,
    assessed: intake.Intake,
    drawn: course.Luck,
    made: assignment.Assignment,
    rng: dict[str, np.random.Generator],
    first_site: int,
) -> Dataset:
    courses = made.courses
    attended = records.held(courses)
    ending = records.endings(courses, rng["extras"])
    jobless = truth.clients.employment == words.EMPLOYMENT.index("unemployed")
    symptoms = records.taken(attended, jobless[truth.client_of], rng["scores"])
    still = np.isin(ending, (records.ONGOING,))
    caseload = np.bincount(courses.therapist[still], minlength=plan.therapists)
    return Dataset(
        manifest(plan),
        {
            "therapists": frames.therapists(plan, truth.staff, caseload),
            "licences": frames.licences(plan, truth.staff),
            "slots": frames.slots(plan, truth.staff, caseload, rng["extras"]),
            "clients": frames.clients(truth.clients),
            "preferences": frames.preferences(truth.clients),
            "episodes": records.episodes(plan, truth, referrals, made, ending, attended, first_site),
            "offers": records.offers(truth),
            "measures": measures.measures(
                plan, truth, referrals, assessed, drawn, courses, attended, symptoms, rng["scores"]
            ),
            "sessions": records.sessions(plan, truth, drawn, ending, attended, rng["extras"]),
        },
    )
