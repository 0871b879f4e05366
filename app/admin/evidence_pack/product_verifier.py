"""The product's own verifier as one file that Python runs: an archive of the modules it needs."""

from __future__ import annotations

import ast
import io
from collections.abc import Iterator
from importlib.resources import files
from importlib.util import find_spec, resolve_name
from pathlib import Path
from zipfile import ZipFile

from .zip_file import info_of

NAME = "verify_pack.pyz"
ENTRY = "app.admin.evidence_pack.verify_pack"
PACKAGE = "app"


def product_verifier() -> bytes:
    """`python3 verify_pack.pyz evidence.zip KEPT.vkey`, with cryptography and orjson."""
    main = files(__package__).joinpath("files/verify_pack_main.py.txt").read_bytes()
    made = io.BytesIO()
    with ZipFile(made, "w", compresslevel=9) as zip_file:
        zip_file.writestr(info_of("__main__.py"), main)
        for path, source in sorted(_sources().items()):
            zip_file.writestr(info_of(path), source)
    return made.getvalue()


def _sources() -> dict[str, bytes]:
    """The modules that ENTRY imports, itself or through others, and their packages."""
    found: dict[str, bytes] = {}
    waiting = [ENTRY, "app.audit.format.note", "app.errors"]
    while waiting:
        spec = find_spec(waiting.pop())
        if spec is None or spec.origin is None or not spec.name.startswith(PACKAGE):
            continue
        is_package = spec.submodule_search_locations is not None
        path = spec.name.replace(".", "/") + ("/__init__.py" if is_package else ".py")
        if path in found:
            continue
        found[path] = Path(spec.origin).read_bytes()
        package = spec.name if is_package else spec.name.rpartition(".")[0]
        waiting += [spec.name.rpartition(".")[0] or PACKAGE, *_imports(found[path], package)]
    return found


def _imports(source: bytes, package: str) -> Iterator[str]:
    """What a module imports as it is loaded, and later in its functions."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.level:
            module = resolve_name("." * node.level + (node.module or ""), package)
            yield module
            yield from (f"{module}.{one.name}" for one in node.names if _is_module(module, one.name))


def _is_module(package: str, name: str) -> bool:
    found = find_spec(package)
    return bool(found and found.submodule_search_locations and find_spec(f"{package}.{name}"))
