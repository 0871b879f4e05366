"""A PostgreSQL URL as an operator writes it: libpq's, with the password in a file beside it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import ConfigError
from .postgres_faults import NO_RIGHT, what_failed

FORM = re.compile(r"postgres(?:ql)?://[^\s\x00-\x1f]+")
EXTRA = "install the extra `postgres`: pip install 'secure-ai-assistant[postgres]'"


def is_postgres(url: str) -> bool:
    return FORM.fullmatch(url) is not None


@dataclass(frozen=True, slots=True)
class PostgresUrl:
    """Its `str` is fit for messages: server and database, without user, password and options."""

    text: str = field(repr=False)
    setting: str
    """Whose value it is, such as DATABASE_URL."""
    password_file: Path | None = None

    def parameters(self) -> dict[str, Any]:
        """As libpq takes them. The password's file is read now, so that it may be changed.

        TLS is verified unless the server is on this machine or the URL says otherwise. Raises
        ConfigError.
        """
        found = self._parsed()
        if self.password_file is not None:
            try:
                found["password"] = self.password_file.read_text().rstrip("\r\n")
            except (OSError, UnicodeDecodeError) as error:
                name = self.setting.replace("URL", "PASSWORD_FILE")
                raise ConfigError(f"{name}: {self.password_file} cannot be read: {_why(error)}.") from None
        if not _is_local(found) and not {"sslmode", "service"} & found.keys() and "PGSSLMODE" not in os.environ:
            found["sslmode"] = "verify-full"
        return found

    def what_failed(self, error: BaseException | None) -> str:
        """What the fault means, and what to do where the role lacks a right."""
        hint = f"; name in {self.setting} a database that its role owns (ALTER DATABASE … OWNER TO …)"
        return what_failed(error) + (hint if getattr(error, "sqlstate", None) == NO_RIGHT else "")

    def __str__(self) -> str:
        found = self._parsed()
        return f"{found.get('dbname') or found.get('user') or 'of this user'} on {found.get('host') or 'this machine'}"

    def _parsed(self) -> dict[str, Any]:
        try:
            from psycopg import ProgrammingError  # late: an extra, and only where it is configured
            from psycopg.conninfo import conninfo_to_dict  # late: as above
        except ImportError:
            raise ConfigError(f"{self.setting} names a PostgreSQL server: {EXTRA}.") from None
        try:
            return dict(conninfo_to_dict(self.text))
        except ProgrammingError as error:
            raise ConfigError(f"{self.setting} is no URL that PostgreSQL knows: {_safe(error)}.") from None


def _is_local(parameters: dict[str, Any]) -> bool:
    hosts = str(parameters.get("hostaddr") or parameters.get("host") or os.environ.get("PGHOST") or "").split(",")
    return all(host in ("", "localhost", "::1") or host.startswith(("/", "@", "127.")) for host in hosts)


def _safe(error: Exception) -> str:
    """libpq quotes the part that it does not know, which may be a secret."""
    return re.sub(r'"[^"]*"', "…", str(error)).strip().splitlines()[0]


def _why(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else None) or "it is not UTF-8"
