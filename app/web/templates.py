"""The HTML of the console: Jinja2 that escapes everything, and what its pages may do."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fastapi import Response
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ..security.models import Principal
from ..security.roles import ADMIN, ASK, AUDIT_READER

FOLDER = Path(__file__).parent
POLICY = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; object-src 'none'"
PAGES: dict[str, str | None] = {
    "playground": ASK,
    "records": None,
    "verify": None,
    "usage": None,
    "operations": ADMIN,
    "audit": AUDIT_READER,
}
"""Each page, and the role that it needs; None: everyone who has signed in."""

environment = Environment(
    loader=FileSystemLoader([FOLDER / "templates", FOLDER / "static"]),  # the body of the verifier is beside its modules
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def html(template: str, **values: Any) -> str:
    return environment.get_template(template).render(**values)


def part(template: str, **values: Any) -> Response:
    """A piece of the page, for one who has signed in."""
    return Response(html(f"parts/{template}.html", **values), media_type="text/html", headers={"content-security-policy": POLICY})


def page_names(principal: Principal) -> list[str]:
    """The pages that *principal* may see."""
    return [name for name, role in PAGES.items() if role is None or principal.has(role)]


def _number(value: Any) -> str:
    return "–" if value is None else f"{value:,}"


def _compact(value: int | None) -> str:
    """1,234 as 1.2 k: for a number that is read at a glance."""
    if value is None or value < 10_000:
        return _number(value)
    for unit, size in (("M", 1_000_000), ("k", 1_000)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return str(value)


def _milliseconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value / 1000:.1f} s" if value >= 1000 else f"{value:.0f} ms"


def _seconds(value: float | None) -> str:
    """A length of time, in its largest unit."""
    if value is None:
        return "–"
    for unit, size in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value:.1f} s"


def _money(value: str) -> str:
    whole, _, rest = value.partition(".")
    return f"{int(whole):,}.{(rest + '00')[: max(2, min(4, len(rest)))]}"


def _when(value: str | int | None) -> str:
    """A time of a record, or milliseconds since 1970, to the second, in UTC."""
    if isinstance(value, int):
        value = datetime.fromtimestamp(value / 1000, UTC).isoformat()
    return "–" if not value else value[:19].replace("T", " ")


environment.filters |= {
    "number": _number,
    "compact": _compact,
    "milliseconds": _milliseconds,
    "seconds": _seconds,
    "money": _money,
    "when": _when,
}
