"""nginx with deploy/nginx.conf in front of a service: the same file, with paths and ports of a test."""

from __future__ import annotations

import getpass
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from .optional import leave_out
from .paths import ROOT
from .service import free_port
from .waiting import eventually

CONFIGURATION = ROOT / "deploy/nginx.conf"


def check(file: Path) -> str:
    """What nginx says of a configuration; nothing if it takes it."""
    done = subprocess.run([_nginx(), "-t", "-q", "-c", str(file)], capture_output=True, text=True)
    return done.stderr + ("" if done.returncode == 0 else f"exit status {done.returncode}")


def render(folder: Path, service_port: int, port: int) -> Path:
    """Each place that is exchanged must be there, so that the test sees the file that is shipped."""
    make_certificate(folder)
    text = CONFIGURATION.read_text()
    places = {
        "server assistant:8000;": f"server 127.0.0.1:{service_port};",
        "listen 8443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/certificates/": f"{folder}/",
        "/tmp/": f"{folder}/",
    }
    for shipped in places:
        assert shipped in text, f"{shipped} is not in {CONFIGURATION.name}"
    text = re.sub("|".join(map(re.escape, places)), lambda found: places[found[0]], text)
    file = folder / "nginx.conf"
    file.write_text(f"user {getpass.getuser()};\n{text}")
    return file


@contextmanager
def in_front_of(service_port: int, folder: Path) -> Iterator[str]:
    """The https:// address of the proxy. Its certificate is its own: do not verify it."""
    port = free_port()
    file = render(folder, service_port, port)
    process = subprocess.Popen([_nginx(), "-c", str(file), "-g", "daemon off;"], stderr=(folder / "stderr").open("w"))
    try:
        eventually(lambda: _takes_connections(port))
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def _nginx() -> str:
    found = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if found is None:
        leave_out("there is no nginx (Debian: apt-get install nginx-light)")
    return found


def _takes_connections(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def make_certificate(folder: Path, *names: str) -> None:
    """`tls.pem` and `tls.key`, of a server that nobody vouches for; who trusts it knows it by *names*."""
    key = ec.generate_private_key(ec.SECP256R1())
    name, now = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "127.0.0.1")]), datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(one) for one in names or ("nobody.invalid",)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    private = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    (folder / "tls.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    (folder / "tls.key").write_bytes(key.private_bytes(serialization.Encoding.PEM, *private))


def untrusting() -> ssl.SSLContext:
    """Accepts the proxy's certificate."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
