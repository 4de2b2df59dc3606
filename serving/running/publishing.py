"""The audit beside the bundle that is served is put before the auditors, so that `/audit` shows what answers."""

import sqlalchemy as sa
import structlog

from data.errors import TherapistFitError
from serving.running.exports import Served
from training.audit.document import FILE
from training.deciding import publish


def publish_audit(engine: sa.Engine, served: Served) -> bool:
    """Publishes the audit of a bundle that begins to serve. Without one it serves on, and `/audit` says what to run."""
    log = structlog.get_logger("serving")
    try:
        evidence = publish(engine, (served.folder / FILE).read_bytes(), served.version.removeprefix("version "))
    except FileNotFoundError:
        log.warning("not_audited", version=served.version)
        return False
    except (TherapistFitError, sa.exc.SQLAlchemyError, OSError) as error:
        log.warning("audit_not_published", version=served.version, error=type(error).__name__)
        return False
    log.info("audit_published", version=served.version, evidence=evidence.evidence_hash)
    return True
