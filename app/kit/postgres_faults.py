"""What a fault of PostgreSQL means, and what the operator does about it. Imports no driver.

A fault of a connection has no SQLSTATE, so libpq's words tell which it is.
"""

from __future__ import annotations

import re

STANDBY = "only a standby answers, which takes no changes: promote it, or name the primary"
STARTING = "the server starts or stops, and takes connections again in a moment"
REFUSED = "the server refuses the role or its password: correct the URL, or the file of the password"
FULL = "all connections of the server are in use: raise max_connections, or stop what holds them"
CUT = "the connection was cut"
NO_DATABASE = "the server has no database of that name: correct the URL, or create the database"
NO_RIGHT = "42501"
"""The server says for what."""
STATES = {
    "25006": STANDBY,
    "28000": REFUSED,
    "28P01": REFUSED,
    "3D000": NO_DATABASE,
    "53100": "the server's disk is full: make room there",
    "53300": FULL,
    "57P01": CUT,
    "57P02": CUT,
    "57P03": STARTING,
}
WORDS = (
    (
        r"server certificate .* does not match host name",
        "the server's certificate is for another name: write the host as the certificate has it, or renew the certificate",
    ),
    (
        r"root certificate file",
        "sslrootcert names no file that can be read: put the certificate of the server's authority there",
    ),
    (r"server does not support SSL", "the server does not speak TLS: switch it on there (ssl = on)"),
    (
        r"valid client certificate|certificate required",
        "the server wants a certificate of the service: add sslcert=FILE and sslkey=FILE",
    ),
    (r"(certificate|private key) file", "sslcert or sslkey names no file that can be used: put both there, with mode 600"),
    (
        r"SSL error",  # OpenSSL has many words for it, and says not whether it is the date or the authority
        "the server's certificate has expired, or is not of the authority in sslrootcert: renew it, or name the right file",
    ),
    (r"no encryption", "the server wants TLS: add sslmode=verify-full and sslrootcert=FILE"),
    (r"no pg_hba\.conf entry", "the server lets this role in from nowhere here: add a line to its pg_hba.conf"),
    (r"authentication failed|no password supplied|role .* does not exist|not permitted to log in", REFUSED),
    (r"database .* does not exist", NO_DATABASE),
    (r"starting up|shutting down|in recovery mode|not (yet )?accepting connections", STARTING),
    (r"session is (read-only|not read-write)|server is in hot standby mode", STANDBY),
    (r"too many (clients|connections)|connection slots are reserved", FULL),
    (r"could not translate host name", "the host of the URL is unknown here: correct it, or the name service"),
    (r"Connection refused|unreachable|No route to host", "no server listens there: start it, or correct host and port"),
    (r"timeout expired|timed out|in time", "the server did not answer in time"),
    (r"closed the connection|reset by peer|EOF detected|Broken pipe|connection is (lost|closed)|administrator command", CUT),
)


def what_failed(error: BaseException | None) -> str:
    """In one line without a full stop. libpq's words only where nothing here knows them.

    Never a password. For operators: it may name hosts and roles.
    """
    state = getattr(error, "sqlstate", None) or getattr(error, "state", None)
    text = str(error)
    known = STATES.get(state or "") or next((meaning for words, meaning in WORDS if re.search(words, text)), None)
    if known is not None:
        return known
    lines = [line.strip(" \t-").rstrip(".") for line in text.splitlines()]
    return "; ".join(line for line in lines if line and not line.endswith("?")) or type(error).__name__
