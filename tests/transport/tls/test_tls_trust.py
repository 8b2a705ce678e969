"""Certificates judged by the authorities that a user names; where OpenSSL is asked too, it says the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from dissector.base.origin import Endpoint
from dissector.transport.tls.certificates import read_certificate
from dissector.transport.tls.model import TlsFacts, Trust
from dissector.transport.tls.trust import TrustStore
from tests.support.authority import Made, issue
from tests.support.wire import START

ROOT = issue("Root", authority=True, days=4000)
OTHER = issue("Other", authority=True, days=4000)
TWIN = issue("Root", authority=True, days=4000)
OLD_ROOT = issue("Old root", authority=True, first=-900, days=800)
MIDDLE = issue("Middle", ROOT, authority=True, days=2000)
LEAF = issue("scanner", MIDDLE)
ALONE = issue("alone")
DIRECT = issue("direct", ROOT)
CASES: dict[str, tuple[list[Made], list[Made], str]] = {
    # what is sent, what is trusted, what is said ("": trusted)
    "whole chain": ([LEAF, MIDDLE], [ROOT], ""),
    "root sent too": ([LEAF, MIDDLE, ROOT], [OTHER, ROOT], ""),
    "any order": ([LEAF, ROOT, OTHER, MIDDLE], [ROOT], ""),
    "intermediate trusted": ([LEAF], [MIDDLE], ""),
    "own certificate trusted": ([ALONE], [ALONE], ""),
    "issued by the root": ([DIRECT], [ROOT], ""),
    "twins": ([DIRECT], [TWIN, ROOT], ""),
    "own certificate": ([ALONE], [ROOT], "it is signed by itself and is not in lab.pem"),
    "unknown root": ([LEAF, MIDDLE, ROOT], [OTHER], "the authority CN=Root is a root that is not in lab.pem"),
    "unknown root, not sent": ([LEAF, MIDDLE], [OTHER], "CN=Root, which issued CN=Middle, is unknown (it was not"),
    "no intermediate": ([LEAF], [ROOT], "the authority CN=Middle, which issued it, is unknown (no intermediate"),
    "a twin of the root": ([DIRECT], [TWIN], "it is not signed by the key of CN=Root that is at hand"),
    "issued by no authority": ([issue("x", DIRECT), DIRECT], [ROOT], "issued by CN=direct, which is no authority"),
    "expired": ([issue("old", ROOT, first=-400)], [ROOT], "it expired on 2026-01-26"),
    "not yet": ([issue("new", ROOT, first=2)], [ROOT], "it is not valid before 2026-03-04"),
    "expired root": ([issue("x", OLD_ROOT)], [OLD_ROOT], "the authority CN=Old root expired on 2025-11-22"),
    "another name": ([issue("x", ROOT, names=("printer.example",))], [ROOT],
                     "it is for printer.example, not for scanner.example"),
    "for clients": ([issue("x", ROOT, usage=ExtendedKeyUsageOID.CLIENT_AUTH)], [ROOT],
                    "it may not be used by servers (extended key usage)"),
}  # fmt: skip


def facts(sent: list[Made], name: str = "scanner.example") -> TlsFacts:
    made = TlsFacts(0, Endpoint("192.0.2.10", 50000), Endpoint("192.0.2.20", 5362), frame=4, time=START)
    made.server_name = name
    made.certificates = [read_certificate(one.der) for one in sent]
    return made


def said(sent: list[Made], trusted: list[Made], name: str = "scanner.example") -> Trust:
    found = TrustStore("lab.pem", [one.der for one in trusted]).server(facts(sent, name))
    assert found is not None
    return found


@pytest.mark.parametrize("case", CASES)
def test_why_a_certificate_is_trusted_or_not(case: str) -> None:
    sent, trusted, words = CASES[case]
    found = said(sent, trusted)
    assert found.trusted is (not words)
    assert words in "; ".join(found.problems)
    assert len(found.problems) == bool(words)


@pytest.mark.parametrize("case", CASES)
def test_openssl_says_the_same(case: str, tmp_path: Path) -> None:
    sent, trusted, words = CASES[case]
    for name, chain in (("store", trusted), ("sent", sent[1:]), ("leaf", sent[:1])):
        (tmp_path / name).write_bytes(b"".join(one.pem for one in chain))
    command = ["openssl", "verify", "-attime", str(START // 1_000_000_000), "-partial_chain", "-purpose", "sslserver"]
    command += ["-verify_hostname", "scanner.example", "-trusted", str(tmp_path / "store")]
    command += ["-untrusted", str(tmp_path / "sent")] if len(sent) > 1 else []
    done = subprocess.run([*command, str(tmp_path / "leaf")], capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (not words), done.stdout + done.stderr


def test_what_strict_verifiers_refuse_is_told_apart() -> None:
    assert said([LEAF, MIDDLE], [ROOT]).strict == ""
    # Its common name is the host: nobody but old devices takes that.
    bare = issue("scanner.example", ROOT, names=())
    found = said([bare], [ROOT])
    assert found.trusted
    assert "subjectAltName" in found.strict or "alternative name" in found.strict.lower(), found.strict


def test_without_a_name_the_address_is_told() -> None:
    found = said([LEAF, MIDDLE], [ROOT], "")
    assert found.trusted
    assert found.remark == (
        "the client named no host; the certificate is for scanner.example, and the server's address is 192.0.2.20"
    )
    one = facts([LEAF, MIDDLE], "")
    one.tunnel = "CONNECT printer.example:5362"
    assert "not for printer.example" in str(TrustStore("lab.pem", [ROOT.der]).server(one))


def test_a_client_s_certificate_is_judged_as_one() -> None:
    one = facts([LEAF, MIDDLE])
    one.client_certificates = [read_certificate(issue("device", ROOT, usage=None).der)]
    store = TrustStore("lab.pem", [ROOT.der])
    store.judge(one)
    assert one.trust is not None
    assert one.trust.client == Trust("CN=Root")
    one.client_certificates = [read_certificate(LEAF.der)]
    store.judge(one)
    (finding,) = one.findings
    assert finding.rule == "tls.untrusted"
    assert finding.text.startswith("the client's certificate is not trusted: the chain is incomplete")
    assert finding.text.endswith("it may not be used by clients (extended key usage)")
    one.certificates = []
    store.judge(one)
    assert one.trust.server is None


def test_a_ring_of_authorities_ends() -> None:
    one = issue("One", authority=True)
    two = issue("Two", one, authority=True)
    ring = issue("One", two, authority=True, key=one.key)
    assert not said([issue("x", ring), ring, two] * 3, [OTHER]).trusted


@given(st.binary(max_size=200), st.integers(0, 600), st.integers(0, 255))
def test_whatever_is_sent_is_judged(junk: bytes, at: int, value: int) -> None:
    der = bytearray(LEAF.der)
    der[at % len(der)] = value
    made = facts([])
    made.certificates = [read_certificate(bytes(der)), read_certificate(junk), read_certificate(MIDDLE.der)]
    TrustStore("lab.pem", [ROOT.der, junk]).judge(made)
    made.certificates.reverse()
    TrustStore("lab.pem", [bytes(der)]).judge(made)
