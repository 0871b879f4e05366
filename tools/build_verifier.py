#!/usr/bin/env python3
"""Makes the browser verifier one HTML file: app/web/verify.html from the modules in app/web/static/verify. Standard library only.
Copies the verifiers beside this file to where `audit pack` finds them in an installed package.

    python3 tools/build_verifier.py            writes the files, and prints their SHA-256
    python3 tools/build_verifier.py --check    exit status 1 if a file is not what it is made of

Each module becomes a function that returns what it exports; imports become names of what was returned. The page's script and
style stand in the file itself and are allowed by their hashes. The worker's script is text there, which the page starts.
"""

import base64
import hashlib
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "app" / "web" / "static" / "verify"
PACK_FILES = ROOT / "app" / "admin" / "evidence_pack" / "files"
TARGET = ROOT / "app" / "web" / "verify.html"
IMPORT = re.compile(r'^import (?:\* as (?P<whole>\w+)|\{(?P<names>[^}]*)\}) from "(?P<file>[^"]+)";$', re.MULTILINE)
EXPORTED = re.compile(r"^export (?=(?:async )?(?:function\*?|class|const) (?P<name>\w+))", re.MULTILINE)
EXPORT_LIST = re.compile(r"^export \{(?P<names>[^}]*)\};$", re.MULTILINE)
COMMENT = re.compile(r"/\*.*?\*/", re.DOTALL)
POLICY = (
    "default-src 'none'; script-src 'sha256-{script}'; style-src 'sha256-{style}'; worker-src blob:; connect-src 'none'; "
    "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types verifier"
)
PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="referrer" content="no-referrer">
<title>Verify · Secure AI Assistant</title>
<style>{style}</style>
</head>
<body>
<main>
{body}</main>
<script type="text/plain" id="engine">{engine}</script>
<script type="module">{script}</script>
</body>
</html>
"""


def order_of(entry: Path) -> list[Path]:
    """*entry* and all that it imports, each after what it needs itself. Raises ValueError for a circle."""
    done: list[Path] = []

    def visit(path: Path, above: tuple[Path, ...]) -> None:
        if path in above:
            raise ValueError(f"{path.name} imports itself in the end")
        for found in IMPORT.finditer(path.read_text("utf-8")):
            visit((path.parent / found["file"]).resolve(), (*above, path))
        if path not in done:
            done.append(path)

    visit(entry, ())
    return done


def bundle(entry: str) -> str:
    """The script of a module with all that it imports."""
    modules = order_of(FOLDER / entry)
    names = {path: f"module{number}" for number, path in enumerate(modules)}
    return '"use strict";\n' + "".join(_as_function(path, names) for path in modules)


def _as_function(path: Path, names: dict[Path, str]) -> str:
    source = path.read_text("utf-8")
    exports = [found["name"] for found in EXPORTED.finditer(source)]
    for found in EXPORT_LIST.finditer(source):
        exports += [name.strip().replace(" as ", ": ") for name in found["names"].split(",") if name.strip()]

    def wanted(found: re.Match[str]) -> str:
        module = names[(path.parent / found["file"]).resolve()]
        if found["whole"]:
            return f"const {found['whole']} = {module};"
        return f"const {{{found['names'].replace(' as ', ': ')}}} = {module};"

    code = EXPORT_LIST.sub("", EXPORTED.sub("", IMPORT.sub(wanted, source)))
    if re.search(r"^(import|export)\b", COMMENT.sub("", code), re.MULTILINE) or re.search(r"</?script|<!--", code, re.IGNORECASE):
        raise ValueError(f"{path} has an import, export or tag that cannot stand in the single file")
    title = path.relative_to(FOLDER.parent).as_posix()
    heading = f"\n// --- {title}{_licence_of(path)}\n"
    return f"{heading}const {names[path]} = (() => {{\n{code}return {{ {', '.join(exports)} }};\n}})();\n"


def _licence_of(path: Path) -> str:
    licence = path.parent / "LICENSE"
    return "\n/*\n" + licence.read_text("utf-8").strip() + "\n*/" if licence.exists() else ""


def page() -> str:
    style = (FOLDER / "verify.css").read_text("utf-8") + (FOLDER / "single.css").read_text("utf-8")
    script, engine = bundle("page.js"), bundle("worker.js")
    policy = POLICY.format(script=_digest(script), style=_digest(style))
    body = (FOLDER / "body.html").read_text("utf-8")
    return PAGE.format(policy=policy, style=style, body=body, engine=engine, script=script)


def _digest(text: str) -> str:
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def products() -> dict[Path, bytes]:
    """Each file that this program writes, and its content."""
    copies = {PACK_FILES / f"{name}.txt": (ROOT / "tools" / name).read_bytes() for name in ("verify_log.py", "verify_slice.py")}
    return {TARGET: page().encode(), **copies}


def main(words: list[str]) -> int:
    made = products()
    if words == ["--check"]:
        return 0 if all(path.exists() and path.read_bytes() == data for path, data in made.items()) else 1
    if words:
        print(__doc__, file=sys.stderr)
        return 2
    for path, data in made.items():
        path.write_bytes(data)
        print(f"{hashlib.sha256(data).hexdigest()}  {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
