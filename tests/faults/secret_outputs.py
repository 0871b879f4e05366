"""The outputs of the console, the admin API, the index, the metrics and the exports, for the hunt of planted secrets."""

from __future__ import annotations

import zipfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..support.calls import bearer
from ..support.service import HTTP
from .endpoints import every_endpoint
from .spoken import say_and_hear
from .valid import ROLES, request

if TYPE_CHECKING:
    from .secrets import Hunt

RECORDS = "records shown"
"""The beginning of the name of an output that may hold what was asked and answered."""
PAGE = "page"
"""The same, of an answer that is none."""
SHOWS_RECORDS = (
    "/audit/search",
    "/audit/feed",
    "/audit/entries",
    "/audit/tile/entries",
    "/audit/export",
    "/console/parts/records",
)
DATABASES = ("DATABASE_URL", "AUDIT_URL", "LIMITS_URL")


def plant_an_admin(hunt: Hunt) -> str:
    """The token of an admin, who makes a client, whose secret and key are searched for, too."""
    service = hunt.service
    made = service.cli("clients", "add", "olga", *(word for role in ROLES for word in ("--role", role)))
    hunt.secrets["admin's secret"] = str(made["client_secret"])
    token = hunt.secrets["admin's token"] = service.token("olga", hunt.secrets["admin's secret"])
    new = {"client_id": "made-over-http", "key": True}
    added = HTTP.post(f"{service.url}/admin/clients", json=new, headers=bearer(token)).json()
    hunt.secrets |= {"secret made over HTTP": added["client_secret"], "key made over HTTP": added["key"]}
    rotated = HTTP.post(f"{service.url}/admin/clients/made-over-http/rotate", headers=bearer(token)).json()
    hunt.secrets["secret rotated over HTTP"] = rotated["client_secret"]
    return token


def read_everything(hunt: Hunt, admin: str) -> None:
    """Every page as every caller, the metrics, and each secret where a change or a search takes a word."""
    service = hunt.service
    for one in every_endpoint():
        if one.method == "GET" and not one.is_file:
            for who in (admin, hunt.token):
                kind = RECORDS if one.path.startswith(SHOWS_RECORDS) else PAGE
                said = say_and_hear(service.port, request("GET", one.path, f"Bearer {who}"))
                hunt.outputs[f"{kind} at {one.path} {len(hunt.outputs)}"] = said
    hunt.outputs["metrics"] = HTTP.get(f"http://127.0.0.1:{service.env['METRICS_PORT']}/metrics").content
    for secret in hunt.secrets.values():
        for path in ("/admin/breakers/close", "/admin/clients", "/admin/keys", "/admin/clients/bobby/roles"):
            body = {"server": secret, "client_id": secret, "roles": [secret]}
            for members in (body, {"server": secret}, {"client_id": secret}, {"roles": [secret]}, {secret: secret}):
                hunt.keep(HTTP.post(service.url + path, json=members, headers=bearer(admin)))
        for path in ("/audit/search", "/audit/feed", "/usage", "/admin/keys", "/console/parts/records/list"):
            for name in ("user", "action", "since", "client_id"):
                hunt.keep(HTTP.get(service.url + path, params={name: secret, "by": secret}, headers=bearer(admin)))


def export_everything(hunt: Hunt) -> None:
    """In every form, and as a pack; with what was said, and without."""
    for how in ("ocsf", "jsonl", "csv"):
        for option in ((), ("--no-content",)):
            done = hunt.service.run("audit", "export", "--format", how, "--since", "2026-01-01", *option)
            hunt.outputs[f"{'export' if option else RECORDS} as {how}"] = (done.stdout + done.stderr).encode()
    for name, words in (("pack", ("--no-content",)), (f"{RECORDS} in a pack", ())):
        to = hunt.service.folder / f"{len(hunt.outputs)}.zip"
        hunt.service.run("audit", "pack", "--since", "30d", "--to", str(to), *words)
        with zipfile.ZipFile(to) as pack:
            hunt.outputs |= {f"{name}: {member}": pack.read(member) for member in pack.namelist()}


def starts_without_a_database(password: str) -> Iterator[tuple[tuple[str, ...], dict[str, str]]]:
    """Commands whose database or limits cannot be reached, or are named wrongly: their errors hold no password."""
    for name in DATABASES:
        scheme = "redis" if name == "LIMITS_URL" else "postgresql"
        for place in ("127.0.0.1:1/0", "no-such-host.invalid/0", "127.0.0.1:99999/0", "[::1/0", "127.0.0.1:1/0?sslmode=%zz"):
            env = {name: f"{scheme}://u:{password}@{place}"}
            yield ("serve", "--port", "0"), env
        yield ("doctor",), env
        yield ("clients", "list", "--json"), env
        yield ("audit", "verify"), env
