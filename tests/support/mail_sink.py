"""A mail server as a program: ``python -m tests.support.mail_sink HOST PORT FILE`` appends each mail to a file."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path


async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, file: Path) -> None:
    """One connection, as far as RFC 5321 is needed."""
    writer.write(b"220 sink\r\n")
    while line := (await reader.readline()).strip().upper():
        if line.startswith(b"DATA"):
            writer.write(b"354 go on\r\n")
            mail = b""
            while (row := await reader.readline()) not in (b".\r\n", b""):
                mail += row[1:] if row[:2] == b".." else row
            with file.open("ab") as out:
                out.write(mail)
        writer.write(b"221 bye\r\n" if line == b"QUIT" else b"250 OK\r\n")
        if line == b"QUIT":
            break
    writer.close()


async def main(host: str, port: str, file: str) -> None:
    server = await asyncio.start_server(lambda r, w: talk(r, w, Path(file)), host, int(port))
    print("mail server listens", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
