"""TLS in front of a plain server, with certificates good and bad made on the spot.

The simulator speaks plain HTTP, registered clusters must be https: this proxy is what lies between.
"""

from __future__ import annotations

import asyncio
import datetime
import ipaddress
import ssl
import tempfile
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class Authority:
    """A certificate authority of a test."""

    def __init__(self, name: str = "test authority") -> None:
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = _named(name)
        self._certificate = self._sign(self._name, self._key.public_key(), ca=True)

    @cached_property
    def pem(self) -> str:
        """What clients trust."""
        return self._certificate.public_bytes(Encoding.PEM).decode()

    def issue(self, *names: str, expired: bool = False) -> tuple[str, str]:
        """Return certificate and key as PEM, valid for these names and addresses."""
        key = ec.generate_private_key(ec.SECP256R1())
        made = self._sign(_named("server"), key.public_key(), names=names, expired=expired)
        secret = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return made.public_bytes(Encoding.PEM).decode(), secret.decode()

    def server_context(self, *names: str, expired: bool = False) -> ssl.SSLContext:
        """Return a server's TLS context with a certificate for these names."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with tempfile.TemporaryDirectory() as folder:
            files = Path(folder, "crt"), Path(folder, "key")
            for file, text in zip(files, self.issue(*names, expired=expired), strict=True):
                file.write_text(text)
            context.load_cert_chain(*files)
        return context

    def _sign(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        *,
        names: tuple[str, ...] = (),
        ca: bool = False,
        expired: bool = False,
    ) -> x509.Certificate:
        now = datetime.datetime.now(datetime.UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - 2 * _DAY)
            .not_valid_after(now - _DAY if expired else now + _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
        )
        if names:
            builder = builder.add_extension(
                x509.SubjectAlternativeName([_general(name) for name in names]), critical=False
            )
        return builder.sign(self._key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


class TLSProxy:
    """Ends TLS on loopback and passes the bytes on, while the `async with` block runs.

    Args:
        target: address of the plain server, `http://127.0.0.1:1234`.
        authority: whose certificate is shown; None makes one.
    """

    def __init__(self, target: str, authority: Authority | None = None) -> None:
        self.authority = authority or Authority()
        self._host, _, port = target.removeprefix("http://").partition(":")
        self._target_port = int(port)
        self._port = 0
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.connections = 0

    @property
    def url(self) -> str:
        """The https address."""
        return f"https://127.0.0.1:{self._port}"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def start(self) -> None:
        """Serve, again on the same port after a stop."""
        context = self.authority.server_context("127.0.0.1", "localhost")
        self._server = await asyncio.start_server(
            self._accept, "127.0.0.1", self._port, ssl=context
        )
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Cut every connection and accept no more."""
        if self._server is None:
            return
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()
        self._server = None

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            onward, back = await asyncio.open_connection(self._host, self._target_port)
            try:
                there = asyncio.create_task(_pipe(reader, back))
                await _pipe(onward, writer)
                there.cancel()
                await asyncio.gather(there, return_exceptions=True)
            finally:
                for end in (writer, back):
                    end.transport.abort()


async def _pipe(source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await source.read(65536):
            sink.write(data)
            await sink.drain()
