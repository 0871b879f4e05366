"""A container without an engine, as `docker run --read-only --user 10001 --cap-drop ALL` makes it.

It has its own mount and process namespaces. Everything is read-only but the volume, /tmp and /dev/shm; there are no
capabilities and no HOME; the command is process 1. The network is the host's. Needs root and a kernel that allows namespaces.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

from .optional import leave_out
from .paths import ROOT as PROJECT

UID = 10001
# $1 root, $2 project, $3 volume, $4 size of /dev/shm (0: there is none), $5 where Python is, then the command.
SETUP = """set -eu
root=$1 project=$2 volume=$3 shm=$4 python=$5; shift 5
mount --make-rprivate /
mount --bind / "$root"
mount -o remount,bind,ro "$root"
mount --bind /dev "$root/dev"
if [ "$shm" = 0 ]; then mount -t tmpfs -o ro,mode=755 tmpfs "$root/dev/shm"
else mount -t tmpfs -o "size=$shm,mode=1777,noexec" tmpfs "$root/dev/shm"; fi
case $python/ in
/usr/*) ;;
*)  # perhaps in root's own home, which nobody else may enter
  top=$root/$(echo "$python" | cut -d/ -f2)
  mount -t tmpfs -o mode=755 tmpfs "$top"
  mkdir -p "$root$python"
  mount -o remount,ro "$top"
  mount --bind "$python" "$root$python"
  mount -o remount,bind,ro "$root$python" ;;
esac
mount -t proc proc "$root/proc"
mount --bind "$project" "$root/mnt"
mount -o remount,bind,ro "$root/mnt"
mount --bind "$volume" "$root/srv"
mount -t tmpfs -o size=64m,mode=1777,noexec tmpfs "$root/tmp"
exec chroot "$root" setpriv --reuid "$UID_INSIDE" --regid "$UID_INSIDE" --clear-groups --no-new-privs --bounding-set=-all \\
  --inh-caps=-all env -i "$@"
"""


class Sandbox:
    """Runs each command in a new container with *volume* at /srv and the project at /mnt."""

    def __init__(self, folder: Path, *, shm: str = "64m", **env: str) -> None:
        self.volume, self._root, self._shm = folder / "volume", folder / "root", shm
        for made in (self.volume, self._root):
            made.mkdir(parents=True)
        os.chown(self.volume, UID, UID)
        self.volume.chmod(0o700)
        prefix, project = Path(sys.prefix), PROJECT
        inside = Path("/mnt") / prefix.relative_to(project) if prefix.is_relative_to(project) else prefix
        self._env = {"PATH": f"{inside}/bin:/usr/local/bin:/usr/bin:/bin", "PYTHONPATH": "/mnt", **env}

    def start(self, *command: str) -> subprocess.Popen[str]:
        settings = [f"{name}={value}" for name, value in self._env.items()]
        isolated = ["unshare", "--mount", "--pid", "--fork", "sh", "-c", SETUP, "sandbox"]
        places = [str(self._root), str(PROJECT), str(self.volume), self._shm, sys.base_prefix]
        program = ["sh", "-c", 'cd /srv && exec "$@"', "sh", *command]
        return subprocess.Popen(
            [*isolated, *places, *settings, *program],
            env={"PATH": os.environ["PATH"] + ":/usr/sbin:/sbin", "UID_INSIDE": str(UID)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(self, *command: str, status: int = 0) -> str:
        """The output of *command*."""
        process = self.start(*command)
        try:
            out, err = process.communicate(timeout=120)
        finally:
            end(process)
        assert process.returncode == status, f"{command}: {process.returncode}\n{out}\n{err}"
        return out


def need_namespaces() -> None:
    """Skip the test with a reason if a sandbox cannot be made."""
    if os.geteuid() != 0:
        leave_out("only root can simulate the container (read-only root, another user)")
    if not all(shutil.which(tool) for tool in ("unshare", "setpriv", "chroot")):
        leave_out("unshare, setpriv or chroot is missing (Debian: apt-get install util-linux coreutils)")
    if subprocess.run(["unshare", "--mount", "--pid", "--fork", "true"], capture_output=True).returncode:
        leave_out("this machine does not let root make namespaces (unshare failed)")


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def first_process(outer: subprocess.Popen[str]) -> int:
    """The pid, seen from here, of process 1 of a started sandbox."""
    (first,) = children_of(outer.pid)
    return first


def end(outer: subprocess.Popen[str]) -> None:
    """SIGKILL to process 1, which ends every process of its namespace."""
    if outer.poll() is None:
        for pid in children_of(outer.pid):
            os.kill(pid, signal.SIGKILL)
        outer.communicate(timeout=30)
