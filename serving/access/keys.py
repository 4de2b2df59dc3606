"""Keys: who may ask the service what. A key belongs to one tenant and has scopes; its secret is shown once."""

import datetime as dt
import hashlib
import hmac
import math
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal, get_args

import sqlalchemy as sa

from data.database import tenant_named, writing
from data.errors import BusyError, ConfigError, NoKeyError, NotFoundError, Problem
from data.sql import DIRECTORY_VERSIONS, KEYS

Scope = Literal["platform", "clinician", "auditor", "admin"]
SCOPES: tuple[Scope, ...] = get_args(Scope)
PREFIX = "tf"
LIFE_DAYS = 365
_NEWEST = sa.select(sa.func.max(DIRECTORY_VERSIONS.c.version)).where(DIRECTORY_VERSIONS.c.tenant == KEYS.c.tenant)
_KEY = sa.select(KEYS, _NEWEST.scalar_subquery().label("directory_version")).where(
    KEYS.c.key_id == sa.bindparam("key_id")
)
"""Built once: every request is read by it."""
_UNKNOWN = "the key is not known here, or no longer valid -> ask whoever runs the service for a new one"


@dataclass(frozen=True)
class Caller:
    """Who asks, for the length of one request."""

    tenant: str
    key_id: str
    name: str
    scopes: frozenset[str]
    directory_version: int | None = None
    """The newest version of the tenant's directory when the request came; None before the first."""
    until: float = math.inf
    """When the request has taken too long, by `time.monotonic`."""

    def in_time(self) -> None:
        """Raises BusyError for a request that has taken too long: nothing of it is kept."""
        if time.monotonic() > self.until:
            raise BusyError("it took too long, so nothing was done -> send it again in a moment")

    def may(self, *scopes: Scope) -> bool:
        """Whether any of the scopes is theirs."""
        return not self.scopes.isdisjoint(scopes)


@dataclass(frozen=True)
class KeyInfo:
    """What is kept of a key."""

    key_id: str
    name: str
    scopes: tuple[str, ...]
    made_at: dt.datetime
    expires_at: dt.datetime | None
    revoked_at: dt.datetime | None


def create(
    engine: sa.Engine, tenant: str, name: str, scopes: Collection[str], now: dt.datetime, days: int = LIFE_DAYS
) -> tuple[KeyInfo, str]:
    """A new key and the text to send it as, which is kept nowhere. Raises ConfigError for a name or scope that is not.

    The text is `tf_<key id>_<secret>` with 256 bits of chance, so that a plain SHA-256 is enough to keep.
    """
    wrong = [
        Problem("--scope", one, f"must be one of {', '.join(SCOPES)}", "use one") for one in set(scopes) - {*SCOPES}
    ]
    if not scopes:
        wrong.append(Problem("--scope", "none", "a key without a scope opens nothing", "name one or more"))
    if not name.strip() or len(name) > 200:
        wrong.append(Problem("--name", repr(name[:20]), "says whose key it is, in 1 to 200 characters", "give a name"))
    if wrong:
        raise ConfigError(wrong)
    key_id, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    info = KeyInfo(key_id, name, tuple(s for s in SCOPES if s in scopes), now, now + dt.timedelta(days=days), None)
    row = {**info.__dict__, "scopes": list(info.scopes), "tenant": tenant_named(tenant), "secret_hash": _hash(secret)}
    with writing(engine) as connection:
        connection.execute(sa.insert(KEYS), row)
    return info, f"{PREFIX}_{key_id}_{secret}"


def keys_of(engine: sa.Engine, tenant: str) -> list[KeyInfo]:
    """All keys of a tenant, oldest first, with those that no longer open anything."""
    columns = [KEYS.c[name] for name in KeyInfo.__dataclass_fields__]
    asked = sa.select(*columns).where(KEYS.c.tenant == tenant).order_by(KEYS.c.made_at, KEYS.c.key_id)
    with engine.connect() as connection:
        return [KeyInfo(**{**row._mapping, "scopes": tuple(row.scopes)}) for row in connection.execute(asked)]


def revoke(engine: sa.Engine, tenant: str, key_id: str, now: dt.datetime) -> None:
    """Closes a key at once and for good. Raises NotFoundError for one that the tenant does not have."""
    mine = sa.and_(KEYS.c.tenant == tenant, KEYS.c.key_id == key_id)
    with writing(engine) as connection:
        if connection.scalar(sa.select(KEYS.c.key_id).where(mine)) is None:
            raise NotFoundError(f"{key_id}: no such key -> therapist-fit keys list shows them")
        connection.execute(sa.update(KEYS).where(mine, KEYS.c.revoked_at.is_(None)).values(revoked_at=now))


def caller_of(engine: sa.Engine, token: str, now: dt.datetime) -> Caller:
    """Who sent this key, in one read with the version of their directory. Raises NoKeyError for nobody."""
    prefix, key_id, secret = [*token.split("_", 2), "", ""][:3]
    with engine.connect() as connection:
        row = connection.execute(_KEY, {"key_id": key_id[:64]}).one_or_none()
    known = row is not None and prefix == PREFIX and hmac.compare_digest(row.secret_hash, _hash(secret))
    if row is None or not known or row.revoked_at is not None or (row.expires_at is not None and row.expires_at <= now):
        raise NoKeyError(_UNKNOWN)
    return Caller(row.tenant, row.key_id, row.name, frozenset(row.scopes), row.directory_version)


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
