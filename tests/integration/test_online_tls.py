"""The online store behind TLS: `rediss://` with a certificate that is checked."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from tests.fakes.redis_servers import served

from millrace_common.errors import Unavailable
from millrace_common.online import OnlineReader, OnlineWriter
from millrace_common.slots import Cursor, Held, Slot, Wanted

SLOT = Slot("raw-data", "card", 0, "0badcafe")
VALUE = b"\xf5\x01\0\0" + bytes.fromhex(SLOT.set) + (5).to_bytes(8, "little")


def certificate(folder: Path) -> Path:
    """Write a key and a certificate of 127.0.0.1 that signs itself; return the file of both."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(
            name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(hours=1)
        )
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    file = folder / "redis.pem"
    file.write_bytes(
        made.public_bytes(encoding) + key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain)
    )
    return file


@asynccontextmanager
async def behind_tls(port: int, file: Path) -> AsyncIterator[int]:
    """Yield a port that speaks TLS and hands on to another."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(file)

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back_writer), pump(back_reader, writer))

    server = await asyncio.start_server(connect, "127.0.0.1", 0, ssl=context)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await asyncio.sleep(0.1)


async def test_a_store_behind_tls_is_written_and_read(tmp_path: Path) -> None:
    """With the authority that the URL names; without it the certificate is not believed, and the text says so."""
    file = certificate(tmp_path)
    with served(tmp_path / "redis") as server:
        await server.answers()
        async with behind_tls(server.port, file) as port:
            url = f"rediss://127.0.0.1:{port}/0"
            trusting = f"{url}?ssl_ca_certs={file}"
            async with OnlineWriter.connect(trusting) as writer, OnlineReader.connect(trusting) as reader:
                await writer.claim(1)
                await writer.take(SLOT)
                values = {SLOT.value_key(f"c{n}", "Spend@01234567"): VALUE + bytes(2_000) for n in range(300)}
                await writer.write(SLOT, values, Cursor(6, {}))
                found = await reader.read([Wanted("raw-data", "card", "c299", "Spend@01234567")])
                assert found == [Held(VALUE + bytes(2_000), whole=True)]
                assert len(await writer.load(SLOT, list(values))) == 300
            with pytest.raises(Unavailable, match="certificate"):
                async with OnlineWriter.connect(url, retry_seconds_max=0.2):
                    pass
            async with OnlineWriter.connect(f"{url}?ssl_cert_reqs=none") as writer:
                await writer.claim(1)
