"""The file of the security log is private, and survives what rotates it."""

from __future__ import annotations

import logging
import os
import stat
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from app.kit.descriptor import NotWritten
from app.security.security_file import SecurityFile

from ...support.optional import leave_out


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_a_new_file_is_private(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = SecurityFile(tmp_path / "security.log")
    file.write(["one\n", "two\n"])
    file.close()
    assert ((tmp_path / "security.log").read_text(), mode_of(tmp_path / "security.log")) == ("one\ntwo\n", 0o600)
    assert caplog.records == []


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o200])
def test_a_file_that_logrotate_created_is_made_private_and_that_is_said(
    tmp_path: Path, mode: int, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "security.log"
    file = SecurityFile(path)
    file.write(["before\n"])
    path.rename(tmp_path / "security.log.1")
    path.touch()
    path.chmod(mode)
    with caplog.at_level(logging.WARNING):
        file.write(["after\n"])
        file.write(["again\n"])
    file.close()
    assert (path.read_text(), mode_of(path)) == ("after\nagain\n", 0o600)
    [said] = [record.getMessage() for record in caplog.records]
    assert f"of uid {os.geteuid()} had mode {mode:04o}; it has mode 0600 again" in said
    assert "logrotate" in said


NOBODY = 65534


def as_nobody(path: Path) -> str:
    """What a process of another user is told about writing to *path*."""
    reader, writer = os.pipe()
    pid = os.fork()
    if not pid:
        try:
            os.setuid(NOBODY)
            logging.getLogger("app.security").addHandler(Collector(writer))
            try:
                SecurityFile(path).write(["line\n"])
            except NotWritten as failure:
                os.write(writer, f"{failure.lost} lost: {failure.why}".encode())
        finally:
            os._exit(0)
    os.waitpid(pid, 0)
    os.close(writer)
    with os.fdopen(reader) as said:
        return said.read()


class Collector(logging.Handler):
    def __init__(self, fd: int) -> None:
        super().__init__()
        self._fd = fd

    def emit(self, record: logging.LogRecord) -> None:
        os.write(self._fd, record.getMessage().encode())


@pytest.mark.parametrize(
    ("mode", "said"),
    [
        (0o640, "1 lost: it belongs to uid 0 with mode 0640, and this service is uid 65534. With logrotate"),
        (0o666, "of uid 0 had mode 0666; others may read it: give it to uid 65534"),
    ],
)
def test_a_file_of_another_owner_is_said_in_one_clear_line(mode: int, said: str) -> None:
    if os.geteuid() != 0:
        leave_out("only root can become another user")
    with TemporaryDirectory() as folder:  # tmp_path is below a folder that only root may enter
        Path(folder).chmod(0o755)
        path = Path(folder) / "security.log"
        path.touch()
        path.chmod(mode)
        assert said in as_nobody(path)


def test_a_command_that_root_runs_takes_the_file_from_nobody(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    if os.geteuid() != 0:
        leave_out("only root can give a file away")
    path = tmp_path / "security.log"
    path.touch(0o600)
    os.chown(path, NOBODY, NOBODY)
    with closing(SecurityFile(path)) as file:
        file.write(["line\n"])
    assert (path.stat().st_uid, mode_of(path), caplog.records) == (NOBODY, 0o600, [])


def test_a_folder_in_its_place_loses_the_lines_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "security.log").mkdir()
    with pytest.raises(NotWritten) as lost:
        SecurityFile(tmp_path / "security.log").write(["one\n", "two\n"])
    assert (lost.value.lost, lost.value.why) == (2, "Is a directory")
