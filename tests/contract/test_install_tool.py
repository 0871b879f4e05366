"""`make install` leaves out what only debuggers read: the libraries still load, and RECORD says what is there."""

from __future__ import annotations

import base64
import csv
import hashlib
import importlib.util
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

from ..support.optional import leave_out
from ..support.paths import ROOT

LIBRARIES = sorted(Path(sysconfig.get_config_var("DESTSHARED")).glob("*.so"))
JUNK = b"symbols for debuggers" * 5000


@pytest.fixture(scope="module")
def tool() -> ModuleType:
    spec = importlib.util.spec_from_file_location("install_tool", ROOT / "tools/install.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """The folder of an installed distribution that holds one library of Python's own, with symbols behind it."""
    library = next(path for path in LIBRARIES if path.name.startswith("_json."))
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack" / library.name).write_bytes(library.read_bytes() + JUNK)
    (tmp_path / "pack" / "plain.so").write_bytes(JUNK)
    folder = tmp_path / "pack-1.dist-info"
    folder.mkdir()
    rows = [
        [f"pack/{library.name}", "sha256=old", "1"],
        ["pack/plain.so", "sha256=x", "2"],
        ["pack/gone.so", "", ""],
        ["x,y", "", ""],
    ]
    with (folder / "RECORD").open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)
    return folder


def test_a_trimmed_library_loads_and_its_record_is_true(tool: ModuleType, distribution: Path) -> None:
    assert tool.trim_distribution(distribution) >= len(JUNK)
    (name, digest, size), *others = list(csv.reader((distribution / "RECORD").open(newline="")))
    data = (distribution.parent / name).read_bytes()
    assert digest == "sha256=" + base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    assert (int(size), JUNK[:100] in data) == (len(data), False)
    assert others == [["pack/plain.so", "sha256=x", "2"], ["pack/gone.so", "", ""], ["x,y", "", ""]]
    code = f"import sys; sys.path.insert(0, {str(distribution.parent / 'pack')!r}); import _json; print(_json.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.strip() == str(distribution.parent / name), done.stderr
    assert tool.trim_distribution(distribution) == 0, "it is done already"


@pytest.mark.parametrize("path", LIBRARIES, ids=lambda path: path.name)
def test_what_is_loaded_stays_byte_for_byte(tool: ModuleType, path: Path) -> None:
    data = path.read_bytes()
    kept = tool.without_sections(data)
    assert len(kept) <= len(data)
    assert kept[64:] == data[64 : len(kept)], "only the header changes"
    assert (kept[40:48], kept[60:64]) == (bytes(8), bytes(4)), "and names no section that is not there"
    assert tool.without_sections(kept) == kept


@pytest.mark.parametrize("data", [b"", b"#!/bin/sh\n", b"\x7fELF\x01\x01" + b"\0" * 100], ids=["empty", "script", "32 bits"])
def test_what_is_no_library_of_64_bits_stays_as_it_is(tool: ModuleType, data: bytes) -> None:
    assert tool.without_sections(data) == data


@pytest.mark.slow
def test_several_pips_share_the_packages_of_a_lock(tool: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wheels of nothing but their names, so that no index is asked."""
    if importlib.util.find_spec("pip") is None:
        leave_out("there is no pip in this environment")
    packages, names = [], ["first", "second", "third"]
    for name in names:
        wheel, info = tmp_path / f"{name}-1-py3-none-any.whl", f"{name}-1.dist-info"
        with zipfile.ZipFile(wheel, "w") as file:
            file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n")
            file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            file.writestr(f"{info}/RECORD", "")
        packages.append(f"{name}==1 \\\n    --hash=sha256:{hashlib.sha256(wheel.read_bytes()).hexdigest()}")
    into = {"PIP_TARGET": str(tmp_path / "into"), "PIP_CONFIG_FILE": "/dev/null"}
    for variable, value in {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path), **into}.items():
        monkeypatch.setenv(variable, value)
    assert tool.install(packages) == 0
    assert sorted(path.name for path in (tmp_path / "into").iterdir()) == [f"{name}-1.dist-info" for name in names]


@pytest.mark.slow
def test_a_package_with_another_hash_is_refused_with_all_that_pip_says(tmp_path: Path) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "own-1-py3-none-any.whl").write_bytes(b"no wheel")
    lock = tmp_path / "own.lock"
    lock.write_text(f"own==1 --hash=sha256:{'0' * 64}\n")
    command = [sys.executable, str(ROOT / "tools/install.py"), str(lock)]
    env = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "own"), "PIP_CONFIG_FILE": "/dev/null", "HOME": str(tmp_path)}
    if importlib.util.find_spec("pip") is None:
        leave_out("there is no pip in this environment")
    done = subprocess.run(command, env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode != 0
    assert "HASHES" in done.stderr + done.stdout
