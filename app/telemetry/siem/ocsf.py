"""Records as events of the Open Cybersecurity Schema Framework, version 1.8.

`metadata.uid` is the record's hash: an event that comes twice has the same. What OCSF has no place
for stands in `unmapped`: docs/how-to/siem.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ... import __version__
from .record import LoggedRecord

VERSION = "1.8.0"
NAME = "Secure AI Assistant"
API, AUTHENTICATION, ACCOUNT, ENTITY, LIFECYCLE, BASE = 6003, 3002, 3001, 3004, 6002, 0
OTHER = 99
INFORMATIONAL, LOW, MEDIUM, HIGH = 1, 2, 3, 4
SUCCESS, FAILURE = 1, 2
SHA_256 = 3


class Kind(NamedTuple):
    """What one action is in OCSF."""

    class_uid: int
    activity_id: int = OTHER
    severity_id: int = INFORMATIONAL
    status_id: int = SUCCESS


CREATE, READ, UPDATE = 1, 2, 3
KINDS: Mapping[str, Kind] = {
    "ask.received": Kind(API, CREATE, status_id=OTHER),
    "ask.attempted": Kind(API, CREATE, status_id=OTHER),
    "ask.answered": Kind(API, CREATE),
    "ask.failed": Kind(API, CREATE, MEDIUM, FAILURE),
    "ask.refused": Kind(API, CREATE, LOW, FAILURE),
    "request.refused": Kind(API, OTHER, LOW, FAILURE),
    "request.refused_summary": Kind(API, OTHER, LOW, FAILURE),
    "audit.read": Kind(API, READ),
    "token.issued": Kind(AUTHENTICATION, 3),
    "token.revoked": Kind(AUTHENTICATION, 2),
    "client.added": Kind(ACCOUNT, 1),
    "client.enabled": Kind(ACCOUNT, 2),
    "client.rotated": Kind(ACCOUNT, 3),
    "client.disabled": Kind(ACCOUNT, 5, LOW),
    "key.added": Kind(ENTITY, 1),
    "key.revoked": Kind(ENTITY, 11, LOW),
    "key.expired": Kind(ENTITY, 11),
    "policy.changed": Kind(ENTITY, UPDATE, LOW),
    "budget.added": Kind(ENTITY, UPDATE),
    "budget.reset": Kind(ENTITY, UPDATE),
    "breaker.closed": Kind(ENTITY, UPDATE),
    "log.opened": Kind(LIFECYCLE, 3),
    "log.resumed": Kind(LIFECYCLE, 5, MEDIUM),
    "log.recovered": Kind(LIFECYCLE, OTHER, HIGH),
    "log.tree_rebuilt": Kind(LIFECYCLE, OTHER, HIGH),
    "log.clock_stepped": Kind(LIFECYCLE, OTHER, MEDIUM),
    "database.replaced": Kind(LIFECYCLE, OTHER, HIGH),
    "worker.replaced": Kind(LIFECYCLE, 5, MEDIUM),
}
BY_SUBJECT = {"ask": API, "client": ACCOUNT, "key": ENTITY, "log": LIFECYCLE, "token": AUTHENTICATION}
"""An action that is not named above."""


@dataclass(frozen=True, slots=True)
class Chain:
    """Of which log the records are, and up to where it is signed."""

    origin: str
    signed_size: int = 0
    signatures: list[dict[str, Any]] = field(default_factory=list)
    """What covers the first *signed_size* records."""


def kind_of(action: str) -> Kind:
    return KINDS.get(action) or Kind(BY_SUBJECT.get(action.partition(".")[0], BASE))


def event_of(record: LoggedRecord, chain: Chain) -> dict[str, Any]:
    """The event of one record; it validates against the class that it names."""
    kind, details = kind_of(record.action), record.details
    event: dict[str, Any] = {
        "class_uid": kind.class_uid,
        "category_uid": kind.class_uid // 1000,
        "activity_id": kind.activity_id,
        "type_uid": kind.class_uid * 100 + kind.activity_id,
        "time": round(record.moment.timestamp() * 1000),
        "severity_id": kind.severity_id,
        "status_id": kind.status_id,
        "message": record.action,
        "metadata": _metadata(record, chain),
        "unmapped": {"details": details, "record_integrity": _integrity(record, chain)},
    }
    if kind.activity_id == OTHER:
        event["activity_name"] = record.action
    if isinstance(code := details.get("code"), str):
        event["status_code"] = code
    if kind.class_uid == API and isinstance(elapsed := details.get("elapsed_ms"), int):
        event["duration"] = elapsed
    if record.has_texts:
        event["raw_data"] = record.line.decode("utf-8", "replace")
    event |= _of_class(record, kind)
    return event


def _metadata(record: LoggedRecord, chain: Chain) -> dict[str, Any]:
    product = {"name": NAME, "vendor_name": NAME, "version": __version__}
    profiles = {"profiles": ["ai_operation"]} if _has_model(record) else {}
    return {
        "version": VERSION,
        "product": product,
        "uid": record.hash,
        "sequence": record.seq,
        "correlation_uid": record.request_id,
        "event_code": record.action,
        "original_time": record.timestamp,
        "log_name": chain.origin,
        **profiles,
    }


def _integrity(record: LoggedRecord, chain: Chain) -> dict[str, Any]:
    """As OCSF 1.9 names it. The digest covers the bytes of the line before `,"hash":"`."""
    fingerprint = {"algorithm": "SHA-256", "algorithm_id": SHA_256}
    found: dict[str, Any] = {
        "fingerprint": fingerprint | {"value": record.hash},
        "prev_event": {"fingerprint": fingerprint | {"value": record.prev_hash}},
        "chain_uid": chain.origin,
    }
    return found | ({"signatures": chain.signatures} if record.seq < chain.signed_size else {})


def _of_class(record: LoggedRecord, kind: Kind) -> dict[str, Any]:
    """What its class requires, and what it has a place for."""
    details, by = record.details, str(record.details.get("by", "operator"))
    owner = {"uid": record.user_id, "name": record.user_id} if record.user_id else None
    subject = record.action.partition(".")[0]
    if kind.class_uid == API:
        return _api(record, owner)
    if kind.class_uid == AUTHENTICATION:
        return {"user": owner or {"name": "unknown"}, "service": {"name": NAME}, **_from(details.get("address"))}
    if kind.class_uid == ACCOUNT:
        client = str(details.get("client_id") or record.user_id or "unknown")
        return {"user": {"uid": client, "name": client}, "actor": {"app_name": by}}
    if kind.class_uid == ENTITY:
        named = (details.get(name) for name in ("key_id", "budget", "server", "file", "sha256"))
        uid = next((one for one in named if isinstance(one, str) and one), subject)
        return {"entity": {"name": subject, "uid": uid, "type": subject}, "actor": {"app_name": by}}
    if kind.class_uid == LIFECYCLE:
        return {"app": {"name": NAME, "vendor_name": NAME, "version": __version__}}
    return {}


def _api(record: LoggedRecord, owner: dict[str, Any] | None) -> dict[str, Any]:
    details = record.details
    operation = details.get("endpoint") or details.get("route") or record.action.partition(".")[0]
    response = {name: value for name, value in (("code", details.get("status")), ("error", details.get("code"))) if value}
    found: dict[str, Any] = {
        "actor": {"user": owner} if owner else {"app_name": "unknown"},
        **(_from(details.get("address")) or {"src_endpoint": {"name": "unknown"}}),
        "api": {
            "operation": str(operation),
            "service": {"name": NAME},
            "request": {"uid": record.request_id},
            **({"response": response} if response else {}),
        },
    }
    if _has_model(record):
        found["ai_model"] = {"name": details["model"], "ai_provider": str(details.get("server") or "unknown")}
        found["message_context"] = {"service": {"name": NAME}, **_tokens(details.get("usage"))}
    return found


def _from(address: Any) -> dict[str, Any]:
    return {"src_endpoint": {"ip": address}} if isinstance(address, str) and address else {}


def _has_model(record: LoggedRecord) -> bool:
    return kind_of(record.action).class_uid == API and isinstance(record.details.get("model"), str)


def _tokens(usage: Any) -> dict[str, int]:
    if not isinstance(usage, dict):
        return {}
    given, got = usage.get("input_tokens"), usage.get("output_tokens")
    if not isinstance(given, int) or not isinstance(got, int):
        return {}
    return {"prompt_tokens": given, "completion_tokens": got, "total_tokens": given + got}
