"""What a pack says of itself: what is in it, what it shows and what not."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.resources import files
from string import Template

PROVES_NOTHING_ALONE = (
    "This pack proves nothing against those who gave it to you, unless you hold the log's verifier key from elsewhere. The key"
    " and the programs in it come from the same hands as the records."
)
SHOWS = (
    "Every record of the part is what was signed: none was changed, added, left out or moved between the first and the last.",
    "What came before the first record is fixed too, though it is not here: the checkpoint is over all of it.",
)
SHOWS_WITHHELD = (
    "How many records the part has, and that each is one certain record at its place: none can be exchanged, left out or added.",
    "A record that you are given later, whole or as a receipt, is one of these or it is not: you can tell.",
)
SHOWS_NOT = (
    "That nothing was cut off after the last record: only a newer checkpoint or a receipt that you hold shows that.",
    "That the log was not written anew as a whole before you got your key: only what you kept from then shows that.",
    "Who stands behind a principal, and whether an answer was true.",
)
SHOWS_NOT_WITHHELD = (
    "What the records say, who asked, and when: only their digests are here, and nobody can read a record from its digest.",
    "That the links from record to record are right: for those whole lines are needed. The tree fixes their order all the same.",
    *SHOWS_NOT[:2],
)
FILES = {
    "README.md": "this page",
    "report.html": "the same for people who decide: opens in any browser, prints on paper",
    "log.jsonl": "the records, one a line, byte for byte as they are stored",
    "slice": "what the records before come to, and the signed checkpoint: the proof of the part",
    "checkpoint": "the signed checkpoint alone (C2SP tlog-checkpoint)",
    "log.vkey": "the verifier key, as the operator names it",
    "verdict.json": "what `audit verify` of the operator found in the whole log when the pack was made",
    "control-map.md": "controls of auditors: what this contributes, and what it does not",
    "verify_slice.py": "the verifier for a part of a log; needs `verify_log.py` beside it",
    "verify_log.py": "the verifier for whole logs and receipts",
    "verify_pack.pyz": "the product's own verifier, without the product",
    "verify.html": "the verifier for the browser",
    "texts/": "long texts that the records name by their SHA-256, which is the name of the file",
    "SHA256SUMS": "digests of all files but this one",
}
WITHHELD_LOG = "for each record the hash of its leaf in the tree, 64 hex digits a line, instead of the record"


@dataclass(frozen=True, slots=True)
class About:
    """What is packed. *first* to *last*: the part; *size*: the records under the checkpoint."""

    origin: str
    first: int
    last: int
    size: int
    withheld: bool
    names: tuple[str, ...]
    """The files in the pack."""

    @property
    def count(self) -> int:
        return self.last - self.first + 1

    @property
    def shows(self) -> tuple[str, ...]:
        return SHOWS_WITHHELD if self.withheld else SHOWS

    @property
    def shows_not(self) -> tuple[str, ...]:
        return SHOWS_NOT_WITHHELD if self.withheld else SHOWS_NOT

    def described(self) -> list[tuple[str, str]]:
        """Each file, and what it is."""
        there = {"texts/" if name.startswith("texts/") else name for name in self.names}
        known = {**FILES, "log.jsonl": WITHHELD_LOG if self.withheld else FILES["log.jsonl"]}
        return [(name, what) for name, what in known.items() if name in there or name in ("README.md", "SHA256SUMS")]


def readme(about: About) -> str:
    table = "\n".join(f"| `{name}` | {what} |" for name, what in about.described())
    shows = "\n".join(
        [*(f"- {one}" for one in about.shows), "", "It does not show:", "", *(f"- {one}" for one in about.shows_not)]
    )
    template = Template(files(__package__).joinpath("files/README.md").read_text("utf-8"))
    values = {
        "origin": about.origin,
        "first": about.first,
        "last": about.last,
        "size": about.size,
        "files": table,
        "shows": shows,
    }
    return template.substitute(values)
