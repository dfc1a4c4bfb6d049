"""The PyPI package hl7 as an MLLP server: parses each message and answers it, keeps nothing."""

import asyncio
import sys

import hl7  # type: ignore[import-untyped]
from hl7.mllp import start_hl7_server  # type: ignore[import-untyped]


async def answer(reader, writer):  # type: ignore[no-untyped-def]
    """Answer until the sender hangs up."""
    try:
        while not writer.is_closing():
            message = await reader.readmessage()
            writer.writemessage(message.create_ack())
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        writer.close()


async def main() -> None:
    """Serve on the given port."""
    async with await start_hl7_server(
        answer, "127.0.0.1", int(sys.argv[1]), encoding="utf-8", limit=1 << 20
    ) as server:
        await server.serve_forever()


if __name__ == "__main__":
    assert hl7.__version__
    asyncio.run(main())
