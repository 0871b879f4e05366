"""`audit forward`: a process of its own that delivers records to another system."""

from __future__ import annotations

import logging
import os
import signal
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from ..kit.environment import setting
from ..kit.json_lines import SETTING as FORM
from ..kit.process import stopped_by


class ForwardFormat(StrEnum):
    OCSF = "ocsf"
    JSONL = "jsonl"


def audit_forward(
    to: Annotated[str, typer.Argument(help="otlp+https://HOST:4318, syslog+tls://HOST:6514 or https://HOST/PATH.")],
    form: Annotated[
        ForwardFormat, typer.Option("--format", help="Events of OCSF 1.8, or the stored lines.")
    ] = ForwardFormat.OCSF,
    name: Annotated[str | None, typer.Option(help="Of the cursor beside the log; by default made from the address.")] = None,
    no_content: Annotated[bool, typer.Option("--no-content", help="Digests in place of what was asked and answered.")] = False,
    header_file: Annotated[Path | None, typer.Option(help="Headers for http, one a line: a token has its place here.")] = None,
    ca: Annotated[Path | None, typer.Option(help="The authorities to trust (PEM), in place of the system's.")] = None,
    certificate: Annotated[Path | None, typer.Option(help="A certificate of our own (PEM), where one is asked for.")] = None,
    key: Annotated[Path | None, typer.Option(help="Its key (PEM).")] = None,
    no_confirmation: Annotated[
        bool, typer.Option("--no-confirmation", help="Syslog: do not wait until the receiver closes. Records may be lost.")
    ] = False,
    once: Annotated[bool, typer.Option("--once", help="End once all that is in the log now is delivered.")] = False,
) -> None:
    """Deliver each durable record at least once, in order, until SIGTERM.

    A cursor beside the log says up to where. It never slows the service: it reads what is written.
    """
    from ..admin.forward_log import Forwarding, forward_log  # late: it loads an HTTP client
    from ..serving.output import open_output  # late: as above
    from ..telemetry.forwarding.target import Trust  # late: as above

    if as_json := setting(FORM):
        os.environ[FORM] = as_json
    output, stop = open_output(), stopped_by(signal.SIGTERM, signal.SIGINT)
    logging.getLogger("httpx").setLevel(logging.WARNING)  # it logs each request
    wanted = Forwarding(
        *(to, form.value, name, not no_content, Trust(ca, certificate, key), header_file, not no_confirmation, once),
    )
    try:
        count = forward_log(wanted, stop)
        output.say(f"{count:,} records delivered")
    finally:
        output.flush()
