"""The report of a pack: one HTML page without script, for people who decide."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from html import escape
from importlib.resources import files

from ...audit.verification.report import Report
from .controls import NOT_COVERED, Control, controls
from .words import PROVES_NOTHING_ALONE, About

MOST_PROBLEMS = 20
MOST_PRINCIPALS = 20


@dataclass(frozen=True, slots=True)
class Counted:
    """Of the records of the part; empty where they are withheld."""

    actions: Mapping[str, int]
    principals: Mapping[str, int]
    first_time: str | None
    last_time: str | None


def report(about: About, verdict: Report, counted: Counted, root: bytes, vkey: str, software: str) -> str:
    style = files(__package__).joinpath("files/report.css").read_text("utf-8")
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    body = [
        f"<header><h1>Evidence from the audit log</h1><p class='soft'>{escape(about.origin)}</p></header>",
        _verdict(about, verdict),
        f"<p class='warning'>{escape(PROVES_NOTHING_ALONE)}</p>",
        "<h2>What is in this pack</h2>",
        _facts(_facts_of(about, counted, root, vkey, software)),
        *_counts(counted),
        f"<h2>What it shows once it verifies with your key</h2>{_list(about.shows)}",
        f"<h2>What it does not show</h2>{_list(about.shows_not)}",
        _how_to_check(),
        _controls(controls()),
    ]
    policy = f"default-src 'none'; style-src 'sha256-{digest}'"
    head = (
        '<meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Evidence from {escape(about.origin)}</title>"
    )
    main = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}<style>{style}</style></head>\n<body>{main}</body></html>\n'


def _verdict(about: About, verdict: Report) -> str:
    records = f"{verdict.entries:,} record{'' if verdict.entries == 1 else 's'}"
    if verdict.ok:
        text = f"The operator's own check of the whole log ({records}) found nothing wrong when this pack was made."
        return f"<div class='verdict sound'><strong>Nothing wrong was found</strong><p>{text}</p></div>"
    problems = [one.problem if one.seq is None else f"Record {one.seq}: {one.problem}" for one in verdict.findings]
    return (
        f"<div class='verdict unsound'><strong>The log is not sound</strong><p>Checking it ({records}) found"
        f" {verdict.finding_count:,}:</p>{_list(problems[:MOST_PROBLEMS])}</div>"
    )


def _facts_of(about: About, counted: Counted, root: bytes, vkey: str, software: str) -> list[tuple[str, str]]:
    times = [_time(one) for one in (counted.first_time, counted.last_time) if one]
    period = " to ".join(dict.fromkeys(times)) or "not stated: the records are withheld"
    content = "withheld: digests only" if about.withheld else "whole, as they are stored"
    return [
        ("Records", f"{about.count:,}: number {about.first:,} to {about.last:,}"),
        ("Time", period),
        ("Content", content),
        ("Signed log", f"{about.size:,} records, root {base64.b64encode(root).decode()}"),
        ("Verifier key", f"{vkey} (compare it with yours)"),
        ("Made by", software),
    ]


def _time(stored: str) -> str:
    return f"{stored[:10]} {stored[11:19]} UTC"


def _counts(counted: Counted) -> list[str]:
    parts = []
    for title, column, rows in (
        ("Records by kind", "action", counted.actions),
        ("Records by principal", "principal", counted.principals),
    ):
        ordered = sorted(rows.items(), key=lambda row: (-row[1], row[0]))
        if not ordered:
            continue
        shown = ordered if column == "action" else ordered[:MOST_PRINCIPALS]
        cells = "".join(f"<tr><td>{escape(name)}</td><td class='number'>{count:,}</td></tr>" for name, count in shown)
        more = f"<p class='soft'>and {len(ordered) - len(shown):,} more</p>" if len(shown) < len(ordered) else ""
        head = f"<thead><tr><th scope='col'>{column}</th><th scope='col' class='number'>records</th></tr></thead>"
        parts.append(f"<h2>{title}</h2><table>{head}<tbody>{cells}</tbody></table>{more}")
    return parts


def _how_to_check() -> str:
    command = "python3 verify_slice.py log.jsonl --slice slice --vkey KEPT.vkey"
    return (
        "<h2>How to check it</h2><p>Use the verifier key that you kept, not the one in the pack. On any machine with Python:</p>"
        f"<pre><code>{command}</code></pre>"
        "<p>Or open <code>verify.html</code> in a browser, paste your key and drop the pack: see <code>README.md</code>.</p>"
    )


def _controls(all_of_them: Iterable[Control]) -> str:
    parts = [f"<section class='controls'><h2>Control map</h2>{_list(NOT_COVERED)}"]
    parts += [_control(one) for one in all_of_them]
    return "".join([*parts, "</section>"])


def _control(one: Control) -> str:
    return (
        f"<div class='control'><h3>{escape(one.framework)}, {escape(one.id)}: {escape(one.title)}</h3>"
        f"<p class='soft'>It asks: {escape(one.asks)} Checked against: {escape(one.basis)}</p>"
        f"<p><b>Given.</b> {escape(one.given)}</p><p><b>Not covered.</b> {escape(one.missing)}</p></div>"
    )


def _facts(facts: Iterable[tuple[str, str]]) -> str:
    return "<dl>" + "".join(f"<dt>{escape(term)}</dt><dd>{escape(value)}</dd>" for term, value in facts) + "</dl>"


def _list(sentences: Iterable[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape(one)}</li>" for one in sentences) + "</ul>"
