"""Logs as JSON lines on stderr: what happened to which request, by id. Never an attribute of a person."""

import logging
import sys
from typing import Any

import structlog

_TRACEBACK = "Traceback (most recent call last)"


def configure() -> None:
    """Sends our events and the server's own messages out in one form; called once by the process that serves."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any] = [_only_the_kind_of_error, _without_traceback, structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    remove_meta = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[remove_meta, *last]))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    logging.getLogger("uvicorn.error").setLevel(logging.INFO)


def _only_the_kind_of_error(_logger: Any, _method: str, event: Any) -> Any:
    """An exception's text and its frames may hold what was sent, so its class and place are all that is logged."""
    info = event.pop("exc_info", None)
    error = info[1] if isinstance(info, tuple) else info if isinstance(info, BaseException) else None
    if error is not None:
        event["error"], event["at"] = type(error).__name__, place_of(error)
    return event


def _without_traceback(_logger: Any, _method: str, event: Any) -> Any:
    """The server logs a failed start as one text with its traceback, which ends in what was read: it is cut off."""
    said = str(event.get("event", ""))
    if _TRACEBACK in said:
        event["event"] = said.partition(_TRACEBACK)[0].strip() or "failed; the traceback is left out"
    return event


def place_of(error: BaseException) -> str:
    """Module and line that raised it; the message and the variables may hold what was sent, so they stay out."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{trace.tb_frame.f_globals.get('__name__')}:{trace.tb_lineno}"
