"""A ZIP file that is the same for the same content: no clock, no owner, one order."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from zipfile import ZIP_DEFLATED, ZipFile, ZipInfo

from ...kit.durable_files import sync_folder

SUMS = "SHA256SUMS"
LEVEL = 6
LARGE = 1 << 31
Put = Callable[[bytes], object]


class Pack:
    """Files are added one after the other; at the end their digests."""

    def __init__(self, zip_file: ZipFile) -> None:
        self._zip = zip_file
        self._digests: dict[str, str] = {}

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._digests)

    def add(self, name: str, data: bytes) -> None:
        with self.adding(name) as put:
            put(data)

    @contextmanager
    def adding(self, name: str, size: int = 0) -> Iterator[Put]:
        """A file in pieces. *size*: about how long it will be."""
        digest, info = hashlib.sha256(), info_of(name)
        with self._zip.open(info, "w", force_zip64=size > LARGE) as file:

            def put(piece: bytes) -> None:
                digest.update(piece)
                file.write(piece)

            yield put
        self._digests[name] = digest.hexdigest()

    def add_digests(self) -> None:
        self.add(SUMS, "".join(f"{digest}  {name}\n" for name, digest in sorted(self._digests.items())).encode())


def info_of(name: str) -> ZipInfo:
    """A member without a time of its own."""
    info = ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    info.compress_type, info.create_system, info.external_attr = ZIP_DEFLATED, 3, 0o644 << 16
    return info


@contextmanager
def new_pack(to: Path) -> Iterator[Pack]:
    """A pack that is at *to*, private and durable, once the block has ended well."""
    part = to.with_name(f"{to.name}.part")
    part.unlink(missing_ok=True)
    try:
        with os.fdopen(os.open(part, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600), "w+b") as file:
            with ZipFile(file, "w", compresslevel=LEVEL) as zip_file:
                pack = Pack(zip_file)
                yield pack
                pack.add_digests()
            file.flush()
            os.fsync(file.fileno())
        part.rename(to)
        sync_folder(to.parent)
    finally:
        part.unlink(missing_ok=True)
