"""A certificate for loopback, made anew for each run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import trustme

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Certificates:
    """PEM files: who signed, the server's certificate with its chain, and its key."""

    authority: Path
    certificate: Path
    key: Path


def made(folder: Path) -> Certificates:
    """Writes them into a folder."""
    authority = trustme.CA(key_type=trustme.KeyType.ECDSA)
    server = authority.issue_cert("127.0.0.1", "localhost", key_type=trustme.KeyType.ECDSA)
    files = Certificates(folder / "ca.pem", folder / "server.pem", folder / "server.key")
    authority.cert_pem.write_to_path(str(files.authority))
    for number, blob in enumerate(server.cert_chain_pems):
        blob.write_to_path(str(files.certificate), append=number > 0)
    server.private_key_pem.write_to_path(str(files.key))
    files.key.chmod(0o600)
    return files
