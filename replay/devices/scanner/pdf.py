"""PDF files in the manner of PDF/A-1b (ISO 19005-1), one picture a page.

What level b asks of such a file is kept: PDF 1.4, a comment of bytes above 127 after the header, a file identifier, no
encryption, XMP metadata that is not compressed and names part 1 and conformance B, an output intent with a version 2
ICC profile (sRGB), device colors only, no transparency, no fonts. No validator has been run on it: it is made by the
rules, not certified by them. There is no Info dictionary and no date, so the same pictures give the same bytes.
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from io import BytesIO

from replay.devices.scanner.encode import Picture, fax, jpeg_data
from replay.devices.scanner.pages import ScanTooLarge
from replay.devices.scanner.tiff import MAX_FILE

__all__ = ["srgb_profile", "write_pdf"]

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/">
<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:pdfaid="http://www.aiim.org/pdfa/ns/id/">
<pdfaid:part>1</pdfaid:part>
<pdfaid:conformance>B</pdfaid:conformance>
</rdf:Description>
</rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>"""

CATALOG, PAGES, METADATA, INTENT, PROFILE = 1, 2, 3, 4, 5
FIRST_PAGE = 6
"""Each page has three objects from here on: page, contents, picture."""


def write_pdf(pictures: Iterable[Picture]) -> bytes:
    """One file with a page for each picture; pages have the size that the resolution gives.

    Raises:
        ScanTooLarge: more than :data:`~replay.devices.scanner.tiff.MAX_FILE` bytes.
    """
    out = BytesIO()
    out.write(b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n")
    places: dict[int, int] = {}
    digest = hashlib.sha256()

    def put(number: int, entries: str, stream: bytes | None = None) -> None:
        places[number] = out.tell()
        if stream is None:
            out.write(f"{number} 0 obj\n<<{entries}>>\nendobj\n".encode("ascii"))
            return
        digest.update(stream)
        out.write(f"{number} 0 obj\n<<{entries}/Length {len(stream)}>>\nstream\n".encode("ascii"))
        out.write(stream)
        out.write(b"\nendstream\nendobj\n")

    put(CATALOG, f"/Type/Catalog/Pages {PAGES} 0 R/Metadata {METADATA} 0 R/OutputIntents[{INTENT} 0 R]")
    put(METADATA, "/Type/Metadata/Subtype/XML", XMP.encode())
    put(
        INTENT,
        "/Type/OutputIntent/S/GTS_PDFA1/OutputConditionIdentifier(sRGB IEC61966-2.1)/Info(sRGB IEC61966-2.1)"
        f"/DestOutputProfile {PROFILE} 0 R",
    )
    put(PROFILE, "/N 3", srgb_profile())
    kids = []
    for index, picture in enumerate(pictures):
        page = FIRST_PAGE + 3 * index
        entries, data = _image(picture)
        if out.tell() + len(data) > MAX_FILE:
            raise ScanTooLarge(f"page {index + 1} would make the file larger than {MAX_FILE} bytes")
        width, height = (_points(*pair) for pair in zip(picture.image.size, picture.dpi, strict=True))
        put(
            page,
            f"/Type/Page/Parent {PAGES} 0 R/MediaBox[0 0 {width} {height}]"
            f"/Resources<</XObject<</Scan {page + 2} 0 R>>>>/Contents {page + 1} 0 R",
        )
        put(page + 1, "", f"q {width} 0 0 {height} 0 0 cm /Scan Do Q".encode("ascii"))
        put(page + 2, entries, data)
        kids.append(f"{page} 0 R")
    put(PAGES, f"/Type/Pages/Count {len(kids)}/Kids[{' '.join(kids)}]")
    start = out.tell()
    out.write(f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n".encode("ascii"))
    for number in range(1, len(places) + 1):
        out.write(f"{places[number]:010d} 00000 n \n".encode("ascii"))
    name = digest.hexdigest()[:32]
    out.write(f"trailer\n<</Size {len(places) + 1}/Root {CATALOG} 0 R/ID[<{name}><{name}>]>>\n".encode("ascii"))
    out.write(f"startxref\n{start}\n%%EOF\n".encode("ascii"))
    return out.getvalue()


def _image(picture: Picture) -> tuple[str, bytes]:
    """Entries and data of a picture's stream."""
    width, height = picture.image.size
    entries = f"/Type/XObject/Subtype/Image/Width {width}/Height {height}"
    if picture.color == "BlackAndWhite1":
        fax_entries = f"/K -1/Columns {width}/Rows {height}"
        return (
            f"{entries}/BitsPerComponent 1/ColorSpace/DeviceGray/Filter/CCITTFaxDecode/DecodeParms<<{fax_entries}>>",
            fax(picture, "group4"),
        )
    space = "DeviceRGB" if picture.color == "RGB24" else "DeviceGray"
    return f"{entries}/BitsPerComponent 8/ColorSpace/{space}/Filter/DCTDecode", jpeg_data(picture)


def _points(pixels: int, dpi: int) -> str:
    return f"{pixels * 72 / dpi:.4f}".rstrip("0").rstrip(".")


def srgb_profile() -> bytes:
    """A version 2 ICC profile of sRGB: matrix and tone curve (ICC.1:2001-04, section 6.3.1.2).

    Written here because PDF 1.4 knows version 2 only, and the profile that Pillow makes is version 4 and dated.
    """

    def xyz(*values: float) -> bytes:
        return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(value * 65536) for value in values))

    def tone(value: float) -> float:
        return value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4

    curve = b"curv\0\0\0\0" + struct.pack(">I256H", 256, *(round(65535 * tone(step / 255)) for step in range(256)))
    name = b"sRGB IEC61966-2.1\0"
    # textDescriptionType: the ASCII text, no Unicode text, no Macintosh text (67 bytes of room).
    description = b"desc\0\0\0\0" + struct.pack(">I", len(name)) + name + bytes(4 + 4 + 2 + 1 + 67)
    # Colorants adapted to D50, section 6.4 with the sRGB primaries.
    tags = [
        (b"desc", description),
        (b"cprt", b"text\0\0\0\0No copyright, use freely\0"),
        (b"wtpt", xyz(0.9642, 1.0, 0.8249)),
        (b"rXYZ", xyz(0.43607, 0.22249, 0.01392)),
        (b"gXYZ", xyz(0.38515, 0.71687, 0.09708)),
        (b"bXYZ", xyz(0.14307, 0.06061, 0.71410)),
        (b"rTRC", curve),
        (b"gTRC", curve),
        (b"bTRC", curve),
    ]
    table, body = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    placed: dict[bytes, int] = {}
    for signature, data in tags:
        if data not in placed:
            placed[data] = start + len(body)
            body += data + bytes(-len(data) % 4)
        table += signature + struct.pack(">II", placed[data], len(data))
    size = start + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"\0\0\0\0", 0x02100000, b"mntr", b"RGB ", b"XYZ ")
    head += struct.pack(">6H", 2000, 1, 1, 0, 0, 0)  # a profile must have a date: a fixed one
    head += b"acsp" + bytes(4 + 4 + 4 + 4 + 8 + 4) + struct.pack(">3i", 63190, 65536, 54061)  # illuminant D50
    return head.ljust(128, b"\0") + table + body
