from __future__ import annotations

import asyncio
import ssl
import subprocess
from typing import TYPE_CHECKING

import pytest

from vitalbridge.operations.certificates import (
    CertificatesExist,
    make_development_certificates,
)

if TYPE_CHECKING:
    from pathlib import Path

NAMES = ["ca.crt", "ca.key", "server.crt", "server.key", "client.crt", "client.key"]


def test_files_and_their_modes(tmp_path: Path) -> None:
    made = make_development_certificates(tmp_path / "certs", ["bridge.local", "10.0.0.5"])
    assert [path.name for path in made] == NAMES
    assert sorted(path.name for path in (tmp_path / "certs").iterdir()) == sorted(NAMES)
    for path in made:
        assert path.stat().st_mode & 0o777 == (0o600 if path.suffix == ".key" else 0o644)


def test_openssl_accepts_them(tmp_path: Path) -> None:
    make_development_certificates(tmp_path, ["bridge.local", "10.0.0.5"])
    for purpose, name in (("sslserver", "server"), ("sslclient", "client")):
        done = subprocess.run(
            [
                *("openssl", "verify", "-x509_strict", "-purpose", purpose),
                *("-CAfile", tmp_path / "ca.crt", tmp_path / f"{name}.crt"),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
    shown = subprocess.run(
        ["openssl", "x509", "-noout", "-ext", "subjectAltName", "-in", tmp_path / "server.crt"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in ("bridge.local", "10.0.0.5", "localhost", "127.0.0.1"):
        assert name in shown


async def test_both_sides_of_a_connection_trust_them(tmp_path: Path) -> None:
    make_development_certificates(tmp_path)
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=tmp_path / "ca.crt")
    server_side.load_cert_chain(tmp_path / "server.crt", tmp_path / "server.key")
    server_side.verify_mode = ssl.CERT_REQUIRED
    client_side = ssl.create_default_context(cafile=tmp_path / "ca.crt")
    client_side.load_cert_chain(tmp_path / "client.crt", tmp_path / "client.key")

    async def greet(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"hello\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(greet, "127.0.0.1", 0, ssl=server_side)
    port = server.sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", port, ssl=client_side, server_hostname="localhost"
    )
    assert await reader.readline() == b"hello\n"
    writer.close()
    await writer.wait_closed()
    server.close()
    await server.wait_closed()


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    make_development_certificates(tmp_path)
    before = (tmp_path / "server.key").read_bytes()
    (tmp_path / "ca.crt").unlink()
    with pytest.raises(CertificatesExist, match=r"ca\.key"):
        make_development_certificates(tmp_path)
    assert not (tmp_path / "ca.crt").exists()
    make_development_certificates(tmp_path, replace=True)
    assert (tmp_path / "server.key").read_bytes() != before
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(NAMES)


@pytest.mark.parametrize("name", ["", "a b", "bücher.example"])
def test_impossible_names(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="no host name"):
        make_development_certificates(tmp_path / "x", [name])
    assert not (tmp_path / "x").exists()
