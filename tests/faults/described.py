"""schemathesis, another's tool: does the service answer as its OpenAPI description says, and refuse what that does not allow?"""

from __future__ import annotations

import os
import re
import subprocess
import time
from pathlib import Path
from typing import Any

from ..support.calls import bearer
from ..support.fake_openai import FakeOpenAI
from ..support.paths import ROOT
from ..support.service import HTTP, Service
from .figures import Figures

TOOL = ROOT / ".venv-fuzz/bin/schemathesis"
MISSING = f"there is no {TOOL.relative_to(ROOT)}: make fuzz installs it"
ROLES = {"asker": "ai.playground.user", "auditor": "ai.audit.reader", "admin": "ai.admin"}
CONFIGURATION = """
[[operations]]
include-path-regex = "^/admin/"
checks.positive_data_acceptance.expected-statuses = {changes}  # which clients, keys and servers there are decides

[[operations]]
include-path-regex = "^/token"
auth.basic = {{ username = "{name}", password = "{secret}" }}
checks.positive_data_acceptance.expected-statuses = {statuses}  # credentials come by Basic or in the body, not both

[[operations]]
exclude-path-regex = "^/token"
headers = {{ Authorization = "Bearer {token}" }}

[[operations]]
include-path-regex = "^/v1/.*"
include-method = "POST"
checks.positive_data_acceptance.expected-statuses = {statuses}  # a model's server has the last word

[[operations]]
include-path = "/audit/feed"
request-timeout = 1  # it never ends: what came until then is checked
"""
STATUSES = ["2xx", "400", "401", "403", "404", "429"]
CHANGES = ["2xx", "403", "409", "422"]
OF_AN_ADMIN = [*CHANGES, "401"]
"""An admin may disable its own client, and the tool finds out how."""
SUMMARY = re.compile(r"(\d+) generated(?:, (\d+) found (\d+) unique failures)?")


def describe(folder: Path, *, role: str, examples: int, workers: int) -> Figures:
    """All checks, stateful: *examples* of each operation, as a caller with *role* of ROLES."""
    begun = time.monotonic()
    assert TOOL.exists(), MISSING
    env: dict[str, Any] = {"ADDRESS_RATE_LIMIT": "10000000", "TOKEN_EXPIRY_HOURS": "24", "OPENAI_API_KEY": "k"}
    with FakeOpenAI() as fake, Service(folder, workers=workers, OPENAI_BASE_URL=fake.base_url, **env) as service:
        secret = service.add_client(role, ROLES[role])
        configuration = folder / "schemathesis.toml"
        token = service.token(role, secret)  # an admin finds no way to revoke it, unlike a key
        changes = OF_AN_ADMIN if role == "admin" else CHANGES
        configuration.write_text(CONFIGURATION.format(name=role, secret=secret, token=token, statuses=STATUSES, changes=changes))
        said = run(service.url, configuration, examples)
        is_disabled = HTTP.get(f"{service.url}/v1/models", headers=bearer(token)).status_code == 401
        assert not is_disabled or role == "admin", "the token was refused at the end, and so on the way"
        assert service.stop() == 0
        records = service.records()
        assert service.verify()["ok"]
        assert "Traceback" not in service.output()
    found = SUMMARY.search(said.stdout)
    assert found, said.stdout[-3000:] + said.stderr
    assert said.returncode == 0, f"{found[0]}\n{said.stdout[-20_000:]}"
    remarks = ["no failure of any check", *["the admin disabled itself on the way"] * is_disabled]
    return Figures(int(found[1]), len(records), time.monotonic() - begun, remarks=remarks)


def run(url: str, configuration: Path, examples: int) -> subprocess.CompletedProcess[str]:
    command = [str(TOOL), "--config-file", str(configuration), "--no-color", "run", f"{url}/openapi.json", "--url", url]
    options = ["-n", str(examples), "--checks", "all", "--continue-on-failure", "--generation-database", "none"]
    plain = os.environ | {"PYTHONWARNINGS": "ignore"}
    return subprocess.run(
        [*command, *options, "--warnings", "off"], cwd=configuration.parent, env=plain, capture_output=True, text=True
    )
