"""Who may use a route: a key in the `Authorization` header, or in the cookie that `/login` sets."""

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Header, Request
from fastapi.security import APIKeyCookie, HTTPBearer
from fastapi.security.http import HTTPAuthorizationCredentials

from data.errors import NoKeyError, NotAllowedError
from serving.access.keys import Caller, Scope
from serving.access.writes import Asked
from serving.service import Service

COOKIE = "therapist_fit_key"
_BEARER = HTTPBearer(auto_error=False, description="a key made by `therapist-fit keys create`")
_COOKIE = APIKeyCookie(name=COOKIE, auto_error=False, description="the same key, as /login keeps it in a browser")


async def service_of(request: Request) -> Service:
    """The running service; not in a thread of its own, for there is nothing to wait for."""
    service: Service = request.app.state.service
    return service


TheService = Annotated[Service, Depends(service_of)]


def needs(*scopes: Scope) -> Any:
    """A route's parameter: the caller, who has one of the scopes (with none named, any key will do).

    Raises NoKeyError without a good key, NotAllowedError for one of another scope, TooManyError over the limit.
    """
    return Depends(_admit(scopes))


def _admit(scopes: tuple[Scope, ...]) -> Callable[..., Caller]:
    def admit(
        request: Request,
        service: TheService,
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        cookie: Annotated[str | None, Depends(_COOKIE)],
    ) -> Caller:
        token = bearer.credentials if bearer else cookie
        if not token:
            raise NoKeyError("no key was sent -> send `Authorization: Bearer KEY`; whoever runs the service makes keys")
        caller = replace(service.admit(token), until=getattr(request.state, "until", math.inf))
        request.state.caller = caller
        service.rates.count(caller.key_id)
        if scopes and not caller.may(*scopes):
            raise NotAllowedError(
                f"this key is not for this: it takes the scope {' or '.join(scopes)} -> use such a key"
            )
        return caller

    return admit


async def asked_of(
    request: Request,
    key: Annotated[
        str | None,
        Header(alias="Idempotency-Key", description="a UUID of your own: sent again, the first outcome is given again"),
    ] = None,
) -> Asked:
    """What makes this write the same as another."""
    target = f"{request.scope['path']}?{request.scope['query_string'].decode('latin-1')}"
    return Asked.of(key, request.method, target, await request.body())


TheAsked = Annotated[Asked, Depends(asked_of)]
