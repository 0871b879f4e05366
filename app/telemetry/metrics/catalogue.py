"""Every metric that the service shows: its name with its unit, its labels, what it means.

docs/reference/metrics.md is written from it. Values of labels come from bounded sets: models and
servers of the policy, budgets without a principal, codes of the error table, fixed words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

PREFIX = "secure_ai_"
Kind = Literal["counter", "gauge", "histogram"]
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
DISK_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0)
RECORDS = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0, 1024.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """*name* without the prefix; that of a counter ends in `_total`."""

    name: str
    kind: Kind
    help: str
    labels: tuple[str, ...] = ()
    bounds: tuple[float, ...] = ()
    """Of a histogram: the upper bounds of its buckets, without infinity."""

    @property
    def words(self) -> int:
        """Numbers that one series takes: a histogram has its buckets, and the sum."""
        return len(self.bounds) + 2 if self.kind == "histogram" else 1


ASKED = ("endpoint", "model")
QUESTIONS = (
    Metric("questions_received_total", "counter", "Questions whose `ask.received` is durable.", ASKED),
    Metric(
        "questions_total",
        "counter",
        "Questions that ended, by outcome: `answered`, or the code of the error.",
        (*ASKED, "outcome"),
    ),
    Metric(
        "open_questions",
        "gauge",
        "Questions in progress, and those that a worker left open when it was killed. Counted since the service started.",
    ),
    Metric("question_seconds", "histogram", "From a question's arrival to the record of its end.", ("model",), SECONDS),
    Metric(
        "time_to_first_byte_seconds",
        "histogram",
        "From a question's arrival to the first event of a streamed answer.",
        ("model",),
        SECONDS,
    ),
    Metric(
        "tokens_total",
        "counter",
        "Tokens as the servers counted them. `cached_input` is a part of `input`, `reasoning` a part of `output`.",
        ("model", "kind"),
    ),
    Metric(
        "spent_currency_units_total",
        "counter",
        "Tokens by the prices of the policy, in units of its currency. Tools that run on a server are not in it.",
        ("model", "currency"),
    ),
    Metric("refusals_total", "counter", "Requests that were refused, by the code of the error.", ("code",)),
)
UPSTREAM = (
    Metric(
        "upstream_tries_total",
        "counter",
        "Times that a question was sent to a server, by outcome: `ok`, `hedged_away` (another was faster), or what went wrong.",
        ("server", "outcome"),
    ),
    Metric("upstream_try_seconds", "histogram", "How long one try took: a stream until its first event.", ("server",), SECONDS),
    Metric("upstream_in_flight", "gauge", "Questions that have a slot of a server now.", ("server",)),
    Metric("upstream_waiting", "gauge", "Questions that wait for a slot of a server.", ("server",)),
    Metric("upstream_slots", "gauge", "Questions that a server may have at one time, as it was found to bear.", ("server",)),
    Metric("breaker_open", "gauge", "1 while a server is not asked because it failed again and again.", ("server",)),
    Metric("breaker_failures_in_a_row", "gauge", "Failures of a server since it last answered.", ("server",)),
)
BUDGETS = (
    Metric(
        "budget_spent_ratio",
        "gauge",
        "What a budget has spent of what it has in the present period. Budgets of principals have no series of their own.",
        ("budget",),
    ),
    Metric("budget_reserved_ratio", "gauge", "What questions in progress hold of a budget.", ("budget",)),
    Metric(
        "budgets_nearly_spent_total",
        "counter",
        "Budgets that have spent 80 %, each counted once in a period; those of principals as `principal`.",
        ("budget",),
    ),
)
AUDIT = (
    Metric("audit_append_seconds", "histogram", "From handing in a record until it is durable.", (), DISK_SECONDS),
    Metric("audit_write_seconds", "histogram", "One write and sync of a group of records.", (), DISK_SECONDS),
    Metric("audit_sync_seconds", "histogram", "One wait for the disk.", (), DISK_SECONDS),
    Metric("audit_group_records", "histogram", "Records that shared one write and one sync.", (), RECORDS),
    Metric("audit_closed", "gauge", "Workers that refuse requests because they cannot record."),
    Metric("audit_closed_seconds_total", "counter", "How long workers could not record, summed over them."),
    Metric("audit_refused_total", "counter", "Requests that were refused because they could not be recorded."),
    Metric("log_sound", "gauge", "0 while the log is not what was signed: nothing is recorded then."),
    Metric("log_head_records", "gauge", "Records that the newest checkpoint covers."),
    Metric("log_head_age_seconds", "gauge", "Since the newest checkpoint was signed. An idle log signs none."),
    Metric("log_signing_behind", "gauge", "1 while records wait for their signature for longer than they should."),
    Metric("log_signing_stands_still", "gauge", "1 while the process that signs and watches the log does not move."),
    Metric("log_key_lost", "gauge", "1 while the file of the log key does not hold the key."),
    Metric("log_verified_age_seconds", "gauge", "Since the background reader last verified the whole log. None: not yet."),
    Metric("log_recheck_passes_total", "counter", "How often the background reader has verified the whole log."),
    Metric("log_recheck_ratio", "gauge", "How far the present pass of the background reader is."),
)
SERVICE = (
    Metric("build_info", "gauge", "Always 1: what runs here.", ("version", "node")),
    Metric("workers", "gauge", "Worker processes that this service has."),
    Metric("stopping", "gauge", "1 while the service stops."),
    Metric("limits_counted", "gauge", "0 while requests cannot be counted against their limits, and each one is refused."),
    Metric("process_open_descriptors", "gauge", "Open files and sockets of a worker.", ("process",)),
    Metric("process_descriptor_limit", "gauge", "How many it may open.", ("process",)),
    Metric("process_resident_memory_bytes", "gauge", "Resident memory of a process of the service.", ("process",)),
    Metric("process_cpu_seconds_total", "counter", "CPU time of a worker, and of those before it.", ("process",)),
    Metric("lost_output_messages_total", "counter", "Messages on stdout and stderr that were lost because nobody read them."),
    Metric("lost_security_events_total", "counter", "Lines of the security log that could not be written."),
    Metric(
        "series_dropped_total",
        "counter",
        "Series that there was no room for. Their numbers are missing: name fewer models in the policy.",
    ),
)
GROUPS = {
    "Questions": QUESTIONS,
    "Models' servers": UPSTREAM,
    "Budgets": BUDGETS,
    "The audit log": AUDIT,
    "The service": SERVICE,
}
METRICS = {metric.name: metric for group in GROUPS.values() for metric in group}
