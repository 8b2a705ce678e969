"""Cipher suites: the registry as rows, and what a name says about keys.

A row is ``number=cipher``; the key exchange heads the rows that share it, so that a suite's registered name is
``TLS_`` key exchange ``_WITH_`` cipher. What has to be known to open records (cipher, key length, MAC, hash of the
pseudorandom function) is read off that name, since the registry's names say it.

Source: IANA TLS Cipher Suites registry; RFC 5246 appendix C, RFC 5288, 6655, 7905, 8446 B.4, 8998 (SM4). Suites of GOST
are not in the table: they are shown by number.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

__all__ = ["SCSV", "Suite", "suite", "suite_name"]

_ROWS = {
    "NULL": """
        0000=NULL_NULL
    """,
    "RSA": """
        0001=NULL_MD5 0002=NULL_SHA 0004=RC4_128_MD5 0005=RC4_128_SHA 0007=IDEA_CBC_SHA 0009=DES_CBC_SHA
        000A=3DES_EDE_CBC_SHA 002F=AES_128_CBC_SHA 0035=AES_256_CBC_SHA 003B=NULL_SHA256 003C=AES_128_CBC_SHA256
        003D=AES_256_CBC_SHA256 0041=CAMELLIA_128_CBC_SHA 0084=CAMELLIA_256_CBC_SHA 0096=SEED_CBC_SHA
        009C=AES_128_GCM_SHA256 009D=AES_256_GCM_SHA384 00BA=CAMELLIA_128_CBC_SHA256 00C0=CAMELLIA_256_CBC_SHA256
        C03C=ARIA_128_CBC_SHA256 C03D=ARIA_256_CBC_SHA384 C050=ARIA_128_GCM_SHA256 C051=ARIA_256_GCM_SHA384
        C07A=CAMELLIA_128_GCM_SHA256 C07B=CAMELLIA_256_GCM_SHA384 C09C=AES_128_CCM C09D=AES_256_CCM
        C0A0=AES_128_CCM_8 C0A1=AES_256_CCM_8
    """,
    "RSA_EXPORT": """
        0003=RC4_40_MD5 0006=RC2_CBC_40_MD5 0008=DES40_CBC_SHA
    """,
    "DH_DSS_EXPORT": """
        000B=DES40_CBC_SHA
    """,
    "DH_DSS": """
        000C=DES_CBC_SHA 000D=3DES_EDE_CBC_SHA 0030=AES_128_CBC_SHA 0036=AES_256_CBC_SHA 003E=AES_128_CBC_SHA256
        0042=CAMELLIA_128_CBC_SHA 0068=AES_256_CBC_SHA256 0085=CAMELLIA_256_CBC_SHA 0097=SEED_CBC_SHA
        00A4=AES_128_GCM_SHA256 00A5=AES_256_GCM_SHA384 00BB=CAMELLIA_128_CBC_SHA256 00C1=CAMELLIA_256_CBC_SHA256
        C03E=ARIA_128_CBC_SHA256 C03F=ARIA_256_CBC_SHA384 C058=ARIA_128_GCM_SHA256 C059=ARIA_256_GCM_SHA384
        C082=CAMELLIA_128_GCM_SHA256 C083=CAMELLIA_256_GCM_SHA384
    """,
    "DH_RSA_EXPORT": """
        000E=DES40_CBC_SHA
    """,
    "DH_RSA": """
        000F=DES_CBC_SHA 0010=3DES_EDE_CBC_SHA 0031=AES_128_CBC_SHA 0037=AES_256_CBC_SHA 003F=AES_128_CBC_SHA256
        0043=CAMELLIA_128_CBC_SHA 0069=AES_256_CBC_SHA256 0086=CAMELLIA_256_CBC_SHA 0098=SEED_CBC_SHA
        00A0=AES_128_GCM_SHA256 00A1=AES_256_GCM_SHA384 00BC=CAMELLIA_128_CBC_SHA256 00C2=CAMELLIA_256_CBC_SHA256
        C040=ARIA_128_CBC_SHA256 C041=ARIA_256_CBC_SHA384 C054=ARIA_128_GCM_SHA256 C055=ARIA_256_GCM_SHA384
        C07E=CAMELLIA_128_GCM_SHA256 C07F=CAMELLIA_256_GCM_SHA384
    """,
    "DHE_DSS_EXPORT": """
        0011=DES40_CBC_SHA
    """,
    "DHE_DSS": """
        0012=DES_CBC_SHA 0013=3DES_EDE_CBC_SHA 0032=AES_128_CBC_SHA 0038=AES_256_CBC_SHA 0040=AES_128_CBC_SHA256
        0044=CAMELLIA_128_CBC_SHA 0066=RC4_128_SHA 006A=AES_256_CBC_SHA256 0087=CAMELLIA_256_CBC_SHA
        0099=SEED_CBC_SHA 00A2=AES_128_GCM_SHA256 00A3=AES_256_GCM_SHA384 00BD=CAMELLIA_128_CBC_SHA256
        00C3=CAMELLIA_256_CBC_SHA256 C042=ARIA_128_CBC_SHA256 C043=ARIA_256_CBC_SHA384 C056=ARIA_128_GCM_SHA256
        C057=ARIA_256_GCM_SHA384 C080=CAMELLIA_128_GCM_SHA256 C081=CAMELLIA_256_GCM_SHA384
    """,
    "DHE_RSA_EXPORT": """
        0014=DES40_CBC_SHA
    """,
    "DHE_RSA": """
        0015=DES_CBC_SHA 0016=3DES_EDE_CBC_SHA 0033=AES_128_CBC_SHA 0039=AES_256_CBC_SHA 0045=CAMELLIA_128_CBC_SHA
        0067=AES_128_CBC_SHA256 006B=AES_256_CBC_SHA256 0088=CAMELLIA_256_CBC_SHA 009A=SEED_CBC_SHA
        009E=AES_128_GCM_SHA256 009F=AES_256_GCM_SHA384 00BE=CAMELLIA_128_CBC_SHA256 00C4=CAMELLIA_256_CBC_SHA256
        C044=ARIA_128_CBC_SHA256 C045=ARIA_256_CBC_SHA384 C052=ARIA_128_GCM_SHA256 C053=ARIA_256_GCM_SHA384
        C07C=CAMELLIA_128_GCM_SHA256 C07D=CAMELLIA_256_GCM_SHA384 C09E=AES_128_CCM C09F=AES_256_CCM
        C0A2=AES_128_CCM_8 C0A3=AES_256_CCM_8 CC15=CHACHA20_POLY1305_SHA256 CCAA=CHACHA20_POLY1305_SHA256
    """,
    "DH_anon_EXPORT": """
        0017=RC4_40_MD5 0019=DES40_CBC_SHA
    """,
    "DH_anon": """
        0018=RC4_128_MD5 001A=DES_CBC_SHA 001B=3DES_EDE_CBC_SHA 0034=AES_128_CBC_SHA 003A=AES_256_CBC_SHA
        0046=CAMELLIA_128_CBC_SHA 006C=AES_128_CBC_SHA256 006D=AES_256_CBC_SHA256 0089=CAMELLIA_256_CBC_SHA
        009B=SEED_CBC_SHA 00A6=AES_128_GCM_SHA256 00A7=AES_256_GCM_SHA384 00BF=CAMELLIA_128_CBC_SHA256
        00C5=CAMELLIA_256_CBC_SHA256 C046=ARIA_128_CBC_SHA256 C047=ARIA_256_CBC_SHA384 C05A=ARIA_128_GCM_SHA256
        C05B=ARIA_256_GCM_SHA384 C084=CAMELLIA_128_GCM_SHA256 C085=CAMELLIA_256_GCM_SHA384
    """,
    "KRB5": """
        001E=DES_CBC_SHA 001F=3DES_EDE_CBC_SHA 0020=RC4_128_SHA 0021=IDEA_CBC_SHA 0022=DES_CBC_MD5
        0023=3DES_EDE_CBC_MD5 0024=RC4_128_MD5 0025=IDEA_CBC_MD5
    """,
    "KRB5_EXPORT": """
        0026=DES_CBC_40_SHA 0027=RC2_CBC_40_SHA 0028=RC4_40_SHA 0029=DES_CBC_40_MD5 002A=RC2_CBC_40_MD5
        002B=RC4_40_MD5
    """,
    "PSK": """
        002C=NULL_SHA 008A=RC4_128_SHA 008B=3DES_EDE_CBC_SHA 008C=AES_128_CBC_SHA 008D=AES_256_CBC_SHA
        00A8=AES_128_GCM_SHA256 00A9=AES_256_GCM_SHA384 00AE=AES_128_CBC_SHA256 00AF=AES_256_CBC_SHA384
        00B0=NULL_SHA256 00B1=NULL_SHA384 C064=ARIA_128_CBC_SHA256 C065=ARIA_256_CBC_SHA384 C06A=ARIA_128_GCM_SHA256
        C06B=ARIA_256_GCM_SHA384 C08E=CAMELLIA_128_GCM_SHA256 C08F=CAMELLIA_256_GCM_SHA384
        C094=CAMELLIA_128_CBC_SHA256 C095=CAMELLIA_256_CBC_SHA384 C0A4=AES_128_CCM C0A5=AES_256_CCM
        C0A8=AES_128_CCM_8 C0A9=AES_256_CCM_8 CCAB=CHACHA20_POLY1305_SHA256
    """,
    "DHE_PSK": """
        002D=NULL_SHA 008E=RC4_128_SHA 008F=3DES_EDE_CBC_SHA 0090=AES_128_CBC_SHA 0091=AES_256_CBC_SHA
        00AA=AES_128_GCM_SHA256 00AB=AES_256_GCM_SHA384 00B2=AES_128_CBC_SHA256 00B3=AES_256_CBC_SHA384
        00B4=NULL_SHA256 00B5=NULL_SHA384 C066=ARIA_128_CBC_SHA256 C067=ARIA_256_CBC_SHA384 C06C=ARIA_128_GCM_SHA256
        C06D=ARIA_256_GCM_SHA384 C090=CAMELLIA_128_GCM_SHA256 C091=CAMELLIA_256_GCM_SHA384
        C096=CAMELLIA_128_CBC_SHA256 C097=CAMELLIA_256_CBC_SHA384 C0A6=AES_128_CCM C0A7=AES_256_CCM
        CCAD=CHACHA20_POLY1305_SHA256
    """,
    "RSA_PSK": """
        002E=NULL_SHA 0092=RC4_128_SHA 0093=3DES_EDE_CBC_SHA 0094=AES_128_CBC_SHA 0095=AES_256_CBC_SHA
        00AC=AES_128_GCM_SHA256 00AD=AES_256_GCM_SHA384 00B6=AES_128_CBC_SHA256 00B7=AES_256_CBC_SHA384
        00B8=NULL_SHA256 00B9=NULL_SHA384 C068=ARIA_128_CBC_SHA256 C069=ARIA_256_CBC_SHA384 C06E=ARIA_128_GCM_SHA256
        C06F=ARIA_256_GCM_SHA384 C092=CAMELLIA_128_GCM_SHA256 C093=CAMELLIA_256_GCM_SHA384
        C098=CAMELLIA_128_CBC_SHA256 C099=CAMELLIA_256_CBC_SHA384 CCAE=CHACHA20_POLY1305_SHA256
    """,
    "RSA_EXPORT1024": """
        0060=RC4_56_MD5 0061=RC2_CBC_56_MD5 0062=DES_CBC_SHA 0064=RC4_56_SHA
    """,
    "DHE_DSS_EXPORT1024": """
        0063=DES_CBC_SHA 0065=RC4_56_SHA
    """,
    "ECDH_ECDSA": """
        C001=NULL_SHA C002=RC4_128_SHA C003=3DES_EDE_CBC_SHA C004=AES_128_CBC_SHA C005=AES_256_CBC_SHA
        C025=AES_128_CBC_SHA256 C026=AES_256_CBC_SHA384 C02D=AES_128_GCM_SHA256 C02E=AES_256_GCM_SHA384
        C04A=ARIA_128_CBC_SHA256 C04B=ARIA_256_CBC_SHA384 C05E=ARIA_128_GCM_SHA256 C05F=ARIA_256_GCM_SHA384
        C074=CAMELLIA_128_CBC_SHA256 C075=CAMELLIA_256_CBC_SHA384 C088=CAMELLIA_128_GCM_SHA256
        C089=CAMELLIA_256_GCM_SHA384
    """,
    "ECDHE_ECDSA": """
        C006=NULL_SHA C007=RC4_128_SHA C008=3DES_EDE_CBC_SHA C009=AES_128_CBC_SHA C00A=AES_256_CBC_SHA
        C023=AES_128_CBC_SHA256 C024=AES_256_CBC_SHA384 C02B=AES_128_GCM_SHA256 C02C=AES_256_GCM_SHA384
        C048=ARIA_128_CBC_SHA256 C049=ARIA_256_CBC_SHA384 C05C=ARIA_128_GCM_SHA256 C05D=ARIA_256_GCM_SHA384
        C072=CAMELLIA_128_CBC_SHA256 C073=CAMELLIA_256_CBC_SHA384 C086=CAMELLIA_128_GCM_SHA256
        C087=CAMELLIA_256_GCM_SHA384 C0AC=AES_128_CCM C0AD=AES_256_CCM C0AE=AES_128_CCM_8 C0AF=AES_256_CCM_8
        CC14=CHACHA20_POLY1305_SHA256 CCA9=CHACHA20_POLY1305_SHA256
    """,
    "ECDH_RSA": """
        C00B=NULL_SHA C00C=RC4_128_SHA C00D=3DES_EDE_CBC_SHA C00E=AES_128_CBC_SHA C00F=AES_256_CBC_SHA
        C029=AES_128_CBC_SHA256 C02A=AES_256_CBC_SHA384 C031=AES_128_GCM_SHA256 C032=AES_256_GCM_SHA384
        C04E=ARIA_128_CBC_SHA256 C04F=ARIA_256_CBC_SHA384 C062=ARIA_128_GCM_SHA256 C063=ARIA_256_GCM_SHA384
        C078=CAMELLIA_128_CBC_SHA256 C079=CAMELLIA_256_CBC_SHA384 C08C=CAMELLIA_128_GCM_SHA256
        C08D=CAMELLIA_256_GCM_SHA384
    """,
    "ECDHE_RSA": """
        C010=NULL_SHA C011=RC4_128_SHA C012=3DES_EDE_CBC_SHA C013=AES_128_CBC_SHA C014=AES_256_CBC_SHA
        C027=AES_128_CBC_SHA256 C028=AES_256_CBC_SHA384 C02F=AES_128_GCM_SHA256 C030=AES_256_GCM_SHA384
        C04C=ARIA_128_CBC_SHA256 C04D=ARIA_256_CBC_SHA384 C060=ARIA_128_GCM_SHA256 C061=ARIA_256_GCM_SHA384
        C076=CAMELLIA_128_CBC_SHA256 C077=CAMELLIA_256_CBC_SHA384 C08A=CAMELLIA_128_GCM_SHA256
        C08B=CAMELLIA_256_GCM_SHA384 CC13=CHACHA20_POLY1305_SHA256 CCA8=CHACHA20_POLY1305_SHA256
    """,
    "ECDH_anon": """
        C015=NULL_SHA C016=RC4_128_SHA C017=3DES_EDE_CBC_SHA C018=AES_128_CBC_SHA C019=AES_256_CBC_SHA
    """,
    "SRP_SHA": """
        C01A=3DES_EDE_CBC_SHA C01D=AES_128_CBC_SHA C020=AES_256_CBC_SHA
    """,
    "SRP_SHA_RSA": """
        C01B=3DES_EDE_CBC_SHA C01E=AES_128_CBC_SHA C021=AES_256_CBC_SHA
    """,
    "SRP_SHA_DSS": """
        C01C=3DES_EDE_CBC_SHA C01F=AES_128_CBC_SHA C022=AES_256_CBC_SHA
    """,
    "ECDHE_PSK": """
        C033=RC4_128_SHA C034=3DES_EDE_CBC_SHA C035=AES_128_CBC_SHA C036=AES_256_CBC_SHA C037=AES_128_CBC_SHA256
        C038=AES_256_CBC_SHA384 C039=NULL_SHA C03A=NULL_SHA256 C03B=NULL_SHA384 C070=ARIA_128_CBC_SHA256
        C071=ARIA_256_CBC_SHA384 C09A=CAMELLIA_128_CBC_SHA256 C09B=CAMELLIA_256_CBC_SHA384
        CCAC=CHACHA20_POLY1305_SHA256 D001=AES_128_GCM_SHA256 D002=AES_256_GCM_SHA384 D003=AES_128_CCM_8_SHA256
        D005=AES_128_CCM_SHA256
    """,
    "ECCPWD": """
        C0B0=AES_128_GCM_SHA256 C0B1=AES_256_GCM_SHA384 C0B2=AES_128_CCM_SHA256 C0B3=AES_256_CCM_SHA384
    """,
    "ECJPAKE": """
        C0FF=AES_128_CCM_8
    """,
    "PSK_DHE": """
        C0AA=AES_128_CCM_8 C0AB=AES_256_CCM_8
    """,
}

_TLS13 = {
    0x00C6: "SM4_GCM_SM3",
    0x00C7: "SM4_CCM_SM3",
    0x1301: "AES_128_GCM_SHA256",
    0x1302: "AES_256_GCM_SHA384",
    0x1303: "CHACHA20_POLY1305_SHA256",
    0x1304: "AES_128_CCM_SHA256",
    0x1305: "AES_128_CCM_8_SHA256",
}

SCSV = {0x00FF: "TLS_EMPTY_RENEGOTIATION_INFO_SCSV", 0x5600: "TLS_FALLBACK_SCSV"}
"""Signals that stand among the suites of a ClientHello and are none (RFC 5746 3.3, RFC 7507)."""

_HASHES = {"MD5": "md5", "SHA": "sha1", "SHA256": "sha256", "SHA384": "sha384", "SM3": "sm3"}
_EXPORT = {
    "RC4_40": ("RC4_40", "STREAM", 5, 16),
    "RC4_56": ("RC4_56", "STREAM", 7, 16),
    "RC2_CBC_40": ("RC2", "CBC", 5, 16),
    "RC2_CBC_56": ("RC2", "CBC", 7, 16),
    "DES40_CBC": ("DES", "CBC", 5, 8),
    "DES_CBC_40": ("DES", "CBC", 5, 8),
    "DES_CBC": ("DES", "CBC", 8, 8),
}
"""Ciphers of export suites: algorithm, mode, bytes of key material, bytes of the key (RFC 2246 6.3.1, RFC 2712)."""
_KEY_BYTES = {
    "SM4": 16,
    "3DES_EDE": 24,
    "DES": 8,
    "SEED": 16,
    "IDEA": 16,
    "CHACHA20_POLY1305": 32,
    "NULL": 0,
    "RC4_128": 16,
}
_BLOCK = {"3DES_EDE": 8, "DES": 8, "IDEA": 8, "AES": 16, "CAMELLIA": 16, "ARIA": 16, "SEED": 16, "RC2": 8}


@dataclass(frozen=True, slots=True)
class Suite:
    """A cipher suite.

    Attributes:
        number: of the registry.
        name: as registered.
        exchange: key exchange and authentication, such as ``ECDHE_RSA``; "" for TLS 1.3.
        algorithm: ``AES``, ``CAMELLIA``, ``CHACHA20_POLY1305``, ``3DES_EDE``, ``RC4``, ``NULL`` …
        mode: ``CBC``, ``GCM``, ``CCM``, ``STREAM`` or ``NULL``; ``AEAD`` for ChaCha20-Poly1305.
        key_bytes: of the cipher's key.
        material: bytes of the key block that the key of an export suite is made of, else 0.
        block: bytes of a block of a CBC cipher, else 0.
        mac: hash of the record MAC, "" for AEAD.
        prf: hash of the pseudorandom function from TLS 1.2 on.
        tag: bytes of an AEAD tag, else 0.
    """

    number: int
    name: str
    exchange: str
    algorithm: str
    mode: str
    key_bytes: int
    block: int
    mac: str
    prf: str
    tag: int
    material: int = 0

    @property
    def weak(self) -> str | None:
        """What is weak about it, None where nothing is."""
        if self.algorithm == "NULL":
            return "encrypts nothing"
        if "EXPORT" in self.exchange:
            return "has keys of export strength"
        if self.algorithm in ("RC4_128", "DES", "3DES_EDE", "IDEA"):
            return f"uses {self.algorithm.split('_')[0]}"
        if self.exchange.endswith("anon"):
            return "authenticates nobody"
        return None


def _read(number: int, exchange: str, cipher: str, name: str) -> Suite:
    words = cipher.split("_")
    digest = _HASHES.get(words[-1], "")
    if digest:
        words = words[:-1]
    tag = 16
    if words[-1] == "8" and words[-2] == "CCM":
        words, tag = words[:-1], 8
    mode = words[-1] if words[-1] in ("CBC", "GCM", "CCM") else ""
    algorithm = "_".join(words[:-1] if mode else words)
    if not mode:
        mode = {"CHACHA20_POLY1305": "AEAD", "NULL": "NULL"}.get(algorithm, "STREAM")
    key = _KEY_BYTES.get(algorithm, 0)
    family = algorithm
    if not key and algorithm.endswith(("_128", "_256")):
        family, _, bits = algorithm.rpartition("_")
        key = int(bits) // 8
    material = 0
    if "EXPORT" in exchange and "_".join(words) in _EXPORT:
        family, mode, material, key = _EXPORT["_".join(words)]
    aead = mode in ("GCM", "CCM", "AEAD")
    return Suite(
        number=number,
        name=name,
        exchange=exchange,
        algorithm=family,
        mode=mode,
        key_bytes=key,
        block=_BLOCK.get(family, 0) if mode == "CBC" else 0,
        mac="" if aead else digest,
        # RFC 5246 5: SHA-256 unless the suite says otherwise; no suite of before 1.2 does.
        prf=digest if digest in ("sha384", "sm3") else "sha256",
        tag=tag if aead else 0,
        material=material,
    )


@cache
def _table() -> dict[int, tuple[str, str, str]]:
    table: dict[int, tuple[str, str, str]] = {}
    for exchange, rows in _ROWS.items():
        for row in rows.split():
            number, _, cipher = row.partition("=")
            table[int(number, 16)] = (exchange, cipher, f"TLS_{exchange}_WITH_{cipher}")
    for code, cipher in _TLS13.items():
        table[code] = ("", cipher, f"TLS_{cipher}")
    return table


@cache
def suite(number: int) -> Suite | None:
    """The suite of a number, None where the table does not have it."""
    row = _table().get(number)
    return _read(number, *row) if row is not None else None


def suite_name(number: int) -> str:
    """The registered name, or ``0x1234`` where the table has none."""
    row = _table().get(number)
    return row[2] if row is not None else SCSV.get(number, f"0x{number:04X}")
