"""TLS one-sided and mutual, with real certificates of two authorities."""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from vitalbridge.hl7.mllp import (
    CertificateRejected,
    ConnectionClosed,
    ConnectionTimeout,
    MllpClient,
    TlsFailed,
    client_context,
    frame,
    server_context,
)

if TYPE_CHECKING:
    from pathlib import Path

Run = Any
Authority = Any


def mutual(authority: Authority, auth: Any = "required", **more: Any) -> ssl.SSLContext:
    return server_context(*authority.server, authority.ca, auth, **more)


def trusting(authority: Authority, own: tuple[Path, Path] | None = None) -> ssl.SSLContext:
    return client_context(authority.ca, *(own or (None, None)))


async def send(here: Any, context: ssl.SSLContext, name: str = "localhost") -> bytes:
    client = MllpClient()
    await client.connect(here.host, here.port, context, server_hostname=name)
    try:
        return await client.send(b"a", 5)
    finally:
        await client.close()


async def test_a_message_over_tls(run: Run, authority: Authority) -> None:
    async with run(tls=server_context(*authority.server)) as here:
        assert await send(here, trusting(authority)) == b"re:a"
        assert here.exchanges[0].peer.tls_subject is None
        await here.seen.until("closed")
        assert here.seen.log == [("opened",), ("closed",)]


async def test_the_subject_of_a_client_certificate(run: Run, authority: Authority) -> None:
    async with run(tls=mutual(authority)) as here:
        assert await send(here, trusting(authority, authority.client)) == b"re:a"
        subject = here.exchanges[0].peer.tls_subject
        assert subject.startswith("CN=ris.example,")
        assert subject.endswith(",O=Radiology\\, client")
        assert here.seen.peers[0].tls_subject == subject


@pytest.mark.parametrize("version", ["tls_1_2", "tls_1_3"])
async def test_a_client_without_a_certificate_is_refused(
    run: Run, authority: Authority, version: str
) -> None:
    context = trusting(authority)
    if version == "tls_1_2":
        context.maximum_version = ssl.TLSVersion.TLSv1_2
    async with run(tls=mutual(authority)) as here:
        # In TLS 1.3 the client has finished its handshake when the server looks at certificates.
        with pytest.raises(TlsFailed if version == "tls_1_2" else ConnectionClosed):
            await send(here, context)
        await here.seen.until("refused", "tls_handshake")
        assert here.messages == []
        assert here.server.connections == 0


async def test_a_client_of_another_authority_is_refused(
    run: Run, authority: Authority, stranger: Authority
) -> None:
    async with run(tls=mutual(authority)) as here:
        with pytest.raises(ConnectionClosed):
            await send(here, trusting(authority, stranger.client))
        await here.seen.until("refused", "tls_handshake")
        assert here.messages == []


async def test_optional_client_certificates(run: Run, authority: Authority) -> None:
    async with run(tls=mutual(authority, "optional")) as here:
        await send(here, trusting(authority))
        await send(here, trusting(authority, authority.client))
        assert [exchange.peer.tls_subject is None for exchange in here.exchanges] == [True, False]


async def test_a_server_of_another_authority_or_name_is_not_trusted(
    run: Run, authority: Authority, stranger: Authority
) -> None:
    async with run(tls=server_context(*authority.server)) as here:
        with pytest.raises(TlsFailed, match="TLS handshake failed"):
            await send(here, trusting(stranger))
        with pytest.raises(TlsFailed, match="TLS handshake failed"):
            await send(here, trusting(authority), name="other.example")
        lenient = client_context(authority.ca, verify_hostname=False)
        assert await send(here, lenient, name="other.example") == b"re:a"


async def test_old_versions_are_refused(run: Run, authority: Authority) -> None:
    old = trusting(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with run(tls=server_context(*authority.server, min_version="tls_1_3")) as here:
        with pytest.raises(TlsFailed):
            await send(here, old)
        assert await send(here, client_context(authority.ca, min_version="tls_1_3")) == b"re:a"
    async with run(tls=server_context(*authority.server)) as here:
        assert await send(here, old) == b"re:a"


async def test_only_ciphers_with_forward_secrecy(authority: Authority) -> None:
    for context in (server_context(*authority.server), trusting(authority)):
        for cipher in context.get_ciphers():
            assert cipher["kea"] in ("kx-ecdhe", "kx-dhe", "kx-any")
            assert cipher["aead"]


async def test_a_handshake_that_never_comes_times_out(run: Run, authority: Authority) -> None:
    async with run(tls=server_context(*authority.server), handshake_timeout=0.1) as here:
        wire = await here.connect()
        await here.seen.until("refused", "tls_handshake")
        assert await wire.end() == b""
        assert here.server.connections == 0
        await wire.close()


async def test_plain_bytes_on_a_tls_port(run: Run, authority: Authority) -> None:
    async with run(tls=server_context(*authority.server)) as here:
        wire = await here.connect()
        wire.write(frame(b"MSH|"))
        await here.seen.until("refused", "tls_handshake")
        await wire.close()
        assert here.messages == []


async def test_connections_in_their_handshake_count(run: Run, authority: Authority) -> None:
    async with run(tls=server_context(*authority.server), max_connections=1) as here:
        waiting = await here.connect()
        other = await here.connect()
        await here.seen.until("refused", "max_connections")
        await waiting.close()
        await here.seen.until("refused", "tls_handshake")
        assert await send(here, trusting(authority)) == b"re:a"
        await other.close()


async def test_draining_ends_a_handshake(run: Run, authority: Authority) -> None:
    async with run(tls=server_context(*authority.server)) as here:
        wire = await here.connect()
        for _ in range(5):
            await asyncio.sleep(0)
        assert here.server.connections == 1
        async with asyncio.timeout(3):
            await here.server.drain(2)
        assert await wire.end() == b""
        await wire.close()


async def test_pipelining_and_large_messages_over_tls(run: Run, authority: Authority) -> None:
    message = b"MSH|" + b"x" * 300_000
    async with run(
        lambda exchange: exchange.reply(b"%d" % len(exchange.message)),
        tls=server_context(*authority.server),
        max_unanswered=4,
    ) as here:
        wire = await here.connect(trusting(authority))
        wire.write((frame(message) + frame(b"small")) * 20)
        for _ in range(20):
            assert await wire.frame() == b"300004"
            assert await wire.frame() == b"5"
        await wire.close()


async def test_pause_and_drain_over_tls(run: Run, authority: Authority) -> None:
    async with run(None, tls=server_context(*authority.server)) as here:
        here.server.pause()
        wire = await here.connect(trusting(authority))
        wire.write(frame(b"a"))
        await here.seen.until("opened")
        for _ in range(50):
            await asyncio.sleep(0)
        assert here.messages == []
        here.server.resume()
        await here.received(1)
        draining = asyncio.create_task(here.server.drain(10))
        await asyncio.sleep(0)
        here.exchanges[0].reply(b"1")
        assert await wire.end() == frame(b"1")
        await wire.close()
        await draining


async def test_a_server_that_says_nothing_in_the_handshake(authority: Authority) -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        with pytest.raises(ConnectionTimeout):
            await MllpClient().connect(
                *silent.getsockname(), trusting(authority), timeout=0.1, server_hostname="localhost"
            )


def test_unusable_files(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.server
    other_key = authority.client[1]
    garbage = tmp_path / "garbage.pem"
    garbage.write_text("nothing")
    missing = tmp_path / "missing.pem"
    for own in (
        (missing, key),
        (cert, missing),
        (cert, other_key),
        (garbage, key),
        (cert, garbage),
    ):
        with pytest.raises(CertificateRejected, match="Failed to load certificate"):
            server_context(*own)
        with pytest.raises(CertificateRejected, match="Failed to load certificate"):
            client_context(authority.ca, *own)
    for ca in (missing, garbage):
        with pytest.raises(CertificateRejected, match="Failed to load certificate"):
            server_context(cert, key, ca, "required")
        with pytest.raises(CertificateRejected, match="Failed to load certificate"):
            client_context(ca)
    with pytest.raises(CertificateRejected, match="without a CA"):
        server_context(cert, key, client_auth="optional")
    with pytest.raises(CertificateRejected, match="both"):
        client_context(authority.ca, cert)


def test_a_key_with_a_passphrase_does_not_ask_for_it(authority: Authority, tmp_path: Path) -> None:
    cert, key = authority.server
    locked = tmp_path / "locked.key"
    locked.write_bytes(
        load_pem_private_key(key.read_bytes(), None).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        )
    )
    with pytest.raises(CertificateRejected, match="Failed to load certificate"):
        server_context(cert, locked)


def test_system_authorities_are_the_default() -> None:
    context = client_context()
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
