"""Certificates of an authority that only these tests trust, made by openssl."""

import shutil
import ssl
import subprocess
from pathlib import Path

_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]


class Authority:
    """Signs certificates; `file` is what a client has to trust."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.file = folder / "authority.pem"
        self._key = folder / "authority.key"
        written: list[str | Path] = ["-keyout", self._key, "-out", self.file, "-days", "2"]
        named = ["-subj", "/CN=authority of a test", "-addext", "keyUsage=critical,keyCertSign"]
        self._run("req", "-x509", *_KEY, *written, *named)

    @staticmethod
    def available() -> bool:
        """Whether openssl is installed."""
        return shutil.which("openssl") is not None

    def server(self, name: str, *, days: int = 2) -> ssl.SSLContext:
        """Return what a server of that name needs; with negative `days` its certificate has expired."""
        key, request, signed, options = (
            self._folder / f"server.{end}" for end in ("key", "csr", "pem", "cnf")
        )
        options.write_text(f"subjectAltName={name}\nauthorityKeyIdentifier=keyid\n")
        self._run("req", *_KEY, "-keyout", key, "-out", request, "-subj", "/CN=server")
        signer: list[str | Path] = ["-CA", self.file, "-CAkey", self._key, "-CAcreateserial"]
        written: list[str | Path] = ["-days", str(days), "-extfile", options, "-out", signed]
        self._run("x509", "-req", "-in", request, *signer, *written)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(signed, key)
        return context

    def client(self, password: str) -> tuple[Path, Path]:
        """Return the files of a client's certificate and of its key, which the password opens."""
        plain, locked, request, signed = (
            self._folder / f"client.{end}" for end in ("open", "key", "csr", "pem")
        )
        self._run("req", *_KEY, "-keyout", plain, "-out", request, "-subj", "/CN=moodle")
        self._run("ec", "-in", plain, "-aes256", "-passout", f"pass:{password}", "-out", locked)
        signer: list[str | Path] = ["-CA", self.file, "-CAkey", self._key, "-CAcreateserial", "-days", "2"]
        self._run("x509", "-req", "-in", request, *signer, "-out", signed)
        return signed, locked

    def _run(self, *arguments: str | Path) -> None:
        subprocess.run(["openssl", *map(str, arguments)], check=True, capture_output=True, timeout=20)
