from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization as ser
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_pem_x509_certificate

from dissector.capture import TLS_KEY_LOG, PcapngWriter
from dissector.cli import main
from tests.support.stories import dsm_completed
from tests.support.tls_talk import client_context, encrypt, identity, server_context
from tests.support.wire import Frame, frames_of, write_pcap

PCAPS = Path(__file__).parents[2] / "pcaps"


@dataclass
class Result:
    code: int
    out: str
    err: str


@pytest.fixture
def pcap() -> Callable[[str], str]:
    return lambda name: str(PCAPS / name)


@pytest.fixture
def cli(capsys, monkeypatch) -> Callable[..., Result]:
    """Runs the command in this process."""
    monkeypatch.delenv("COLUMNS", raising=False)

    def run(*argv: str) -> Result:
        code = main(list(argv))
        said = capsys.readouterr()
        return Result(code, said.out, said.err)

    return run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole DSM story, plain and over TLS 1.3 and (RSA key exchange) 1.2, with keys in all forms."""
    made = tmp_path_factory.mktemp("tls")
    story = dsm_completed()
    (made / "plain.pcap").write_bytes(write_pcap(frames_of(story)))
    for version, cipher in (("1.3", ""), ("1.2", "AES256-GCM-SHA384")):
        secret, keys = encrypt(story, client_context(version, cipher), server_context(identity(), version, cipher))
        frames = frames_of(secret)
        (made / f"{version}.pcap").write_bytes(write_pcap(frames))
        (made / f"{version}.keys").write_bytes(keys)
        (made / f"{version}.pcapng").write_bytes(inside(frames, keys))
    key = ser.load_pem_private_key(identity().key, None)
    certificate = load_pem_x509_certificate(identity().certificate)
    (made / "key.pem").write_bytes(identity().key)
    (made / "key.der").write_bytes(key.private_bytes(ser.Encoding.DER, ser.PrivateFormat.PKCS8, ser.NoEncryption()))
    (made / "key.pkcs1").write_bytes(
        key.private_bytes(ser.Encoding.DER, ser.PrivateFormat.TraditionalOpenSSL, ser.NoEncryption())
    )
    locked = ser.BestAvailableEncryption(b"secret")
    (made / "locked.pem").write_bytes(key.private_bytes(ser.Encoding.PEM, ser.PrivateFormat.PKCS8, locked))
    (made / "locked.p12").write_bytes(pkcs12.serialize_key_and_certificates(b"key", key, certificate, None, locked))
    (made / "ec.pem").write_bytes(identity("ec").key)
    return made


def inside(frames: list[Frame], keys: bytes) -> bytes:
    """A pcapng file with the secrets inside."""
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.add_interface(1)
    writer.write_secrets(TLS_KEY_LOG, keys)
    for frame in frames:
        writer.write_packet(frame.time, frame.data)
    return file.getvalue()
