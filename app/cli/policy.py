"""The `policy` commands: one thin function each."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from ..admin.policy_check import check_policy
from ..admin.policy_diff import changes
from .output import Json, printable, say
from .policy_report import check_document, check_text

policy = typer.Typer(add_completion=False, no_args_is_help=True)


@policy.callback()
def options() -> None:
    pass


@policy.command("check")
def policy_check(
    file: Annotated[Path, typer.Argument(help="The policy file to check.")],
    diff: Annotated[
        Path | None,
        typer.Option(metavar="OTHER", help="Also what changes for callers if FILE takes the place of OTHER."),
    ] = None,
    prices: Annotated[
        bool, typer.Option("--prices", help="Print tables with the prices that the file lacks, ready to paste (extra `prices`).")
    ] = False,
    as_json: Json = False,
) -> None:
    """What is wrong in a policy file, and what it means. It needs no key and changes nothing.

    Exit status 1 if the service would refuse the file.
    """
    checked = check_policy(file)
    other = None if diff is None else check_policy(diff)
    if other is not None and other.catalogue is None:
        checked, other = other, None
    if checked.catalogue is None:
        say(check_document(checked, None), as_json, check_text(checked, None))
        sys.exit(1)
    changed = None if other is None or other.catalogue is None else changes(other.catalogue, checked.catalogue)
    document, text = check_document(checked, changed), check_text(checked, changed)
    if prices:
        from ..admin.known_prices import missing_prices  # late: the list takes a second to load

        found = dict(missing_prices(checked.catalogue))
        document["missing_prices"] = found
        text = "\n\n".join([one or f"# No price is known for {printable(name)}." for name, one in found.items()])
        text = text or "# Each model has a price."
    say(document, as_json, text)
