"""Certificates of an authority that only these tests trust."""

import ipaddress
import ssl
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID


class Authority:
    """Signs certificates; `file` is what a client has to trust, itself signed by `key_file`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        self.key_file = folder / "authority.key"
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name("authority of a test")
        usage = x509.KeyUsage(
            digital_signature=False,
            content_commitment=False,
            key_encipherment=False,
            data_encipherment=False,
            key_agreement=False,
            key_cert_sign=True,
            crl_sign=False,
            encipher_only=False,
            decipher_only=False,
        )
        extensions = [
            (x509.BasicConstraints(ca=True, path_length=None), True),
            (usage, True),
            (x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), False),
        ]
        self.key_file.write_bytes(_pem(self._key, NoEncryption()))
        self.file.write_bytes(self._signed(self._name, self._key, days=2, extensions=extensions))

    def server(self, name: str, *, days: int = 2) -> ssl.SSLContext:
        """Return what a server of that name needs; with negative `days` its certificate has expired.

        `name` is one of its names in OpenSSL's words, such as DNS:localhost or IP:127.0.0.1.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        extensions = [(x509.SubjectAlternativeName([_general(name)]), False)]
        certificate = self._signed(_name("server"), key, days=days, extensions=extensions)
        signed, private = self._folder / "server.pem", self._folder / "server.key"
        signed.write_bytes(certificate)
        private.write_bytes(_pem(key, NoEncryption()))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed, private)
        return context

    def client(self, password: str) -> tuple[Path, Path]:
        """Return the files of a client's certificate and of its key, which the password opens."""
        key = ec.generate_private_key(ec.SECP256R1())
        signed, locked = self._folder / "client.pem", self._folder / "client.key"
        signed.write_bytes(self._signed(_name("moodle"), key, days=2))
        locked.write_bytes(_pem(key, BestAvailableEncryption(password.encode())))
        return signed, locked

    def _signed(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        *,
        days: int,
        extensions: Sequence[tuple[x509.ExtensionType, bool]] = (),
    ) -> bytes:
        ends = datetime.now(UTC) + timedelta(days=days)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(ends - timedelta(days=4))
            .not_valid_after(ends)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False
            )
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM)


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _general(name: str) -> x509.GeneralName:
    kind, _, value = name.partition(":")
    return x509.IPAddress(ipaddress.ip_address(value)) if kind == "IP" else x509.DNSName(value)


def _pem(key: ec.EllipticCurvePrivateKey, lock: KeySerializationEncryption) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, lock)
