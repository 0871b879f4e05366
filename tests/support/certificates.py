"""An authority of our own, and servers with certificates of it: right, expired, or for another name."""

from __future__ import annotations

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)
LOOPBACK = x509.IPAddress(ip_address("127.0.0.1"))


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


@dataclass(frozen=True)
class Authority:
    key: ec.EllipticCurvePrivateKey
    folder: Path

    @classmethod
    def in_folder(cls, folder: Path) -> Authority:
        made = cls(ec.generate_private_key(ec.SECP256R1()), folder)
        basic = x509.BasicConstraints(ca=True, path_length=None)
        certificate = made._sign(_name("authority"), made.key, basic, critical=True)
        made.path.write_bytes(certificate.public_bytes(Encoding.PEM))
        return made

    @property
    def path(self) -> Path:
        """For SSL_CERT_FILE."""
        return self.folder / "authority.pem"

    def server(self, name: x509.GeneralName = LOOPBACK, *, ended: bool = False) -> ssl.SSLContext:
        """For a server with a certificate for *name*, which has *ended* or not."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server_file(name, ended=ended))
        return context

    def server_file(self, name: x509.GeneralName = LOOPBACK, *, ended: bool = False) -> Path:
        """The certificate and its key in one file."""
        key = ec.generate_private_key(ec.SECP256R1())
        certificate = self._sign(_name("server"), key, x509.SubjectAlternativeName([name]), ended=ended)
        file = self.folder / f"server-{certificate.serial_number}.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(certificate.public_bytes(Encoding.PEM) + private)
        return file

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extension: x509.ExtensionType,
        *,
        critical: bool = False,
        ended: bool = False,
    ) -> x509.Certificate:
        now = datetime.now(UTC)
        made = x509.CertificateBuilder().subject_name(subject).issuer_name(_name("authority")).public_key(key.public_key())
        made = made.serial_number(x509.random_serial_number()).add_extension(extension, critical)
        made = made.not_valid_before(now - 9 * DAY).not_valid_after(now - DAY if ended else now + DAY)
        return made.sign(self.key, hashes.SHA256())
