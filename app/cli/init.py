"""`init`: set up the current folder."""

from __future__ import annotations

from typing import Annotated

import typer

from ..admin import setup
from ..kit.command import command
from ..security.roles import ADD_CLIENT
from .output import Json, receipt_name, say

init = typer.Typer(add_completion=False)


@init.command()
def init_folder(
    new_log: Annotated[
        bool, typer.Option(help="Retire the present audit log and begin a new one. Stop the service first.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Safe to repeat: what is there is kept."""
    done = setup.set_up(new_log=new_log)
    paths = {"env_file": done.env_file, "database": done.database, "audit_log": done.audit_log, "log_key": done.log_key}
    made = {name: str(path) if path else None for name, path in paths.items()}
    did = {"database": "made or upgraded"}
    lines = [f"{did.get(name, 'made')} {name.replace('_', ' ')}: {path}" for name, path in made.items() if path]
    if done.secret_filled_into:
        lines.insert(0, f"wrote a fresh SECRET_KEY into {done.secret_filled_into}")
    steps = [command("serve")] if done.has_clients else [command(ADD_CLIENT), command("serve")]
    lines = [*(lines or ["nothing was missing"]), "next:", *(f"  {step}" for step in steps)]
    receipt = receipt_name(done.first_record.seq, done.first_record.hash) if done.first_record else None
    filled = str(done.secret_filled_into) if done.secret_filled_into else None
    say({**made, "secret_filled_into": filled, "receipt": receipt}, as_json, "\n".join(lines))
