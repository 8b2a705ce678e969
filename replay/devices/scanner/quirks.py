"""What real scanners do otherwise than the specification says, as switches of a device file.

Each quirk was seen with a real model; the sources are the fact tables' notes on WS-Scan (numbers 50 to 66) and the
issue tracker of sane-airscan, the client that met them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

__all__ = ["QUIRKS", "Quirk"]


class Quirk(NamedTuple):
    """One quirk: what it does, who has it, and what its value is ("" for a plain switch)."""

    meaning: str
    seen: str
    value: str = ""


QUIRKS: Mapping[str, Quirk] = {
    "swapped-size": Quirk("width and height of the largest size are swapped", "Kyocera ECOSYS M2040dn"),
    "ignores-scan-region": Quirk("echoes ScanRegion, and scans the whole page", "Kyocera ECOSYS M2040dn"),
    "feeder-as-one-pdf": Quirk("a stack in the feeder comes as one PDF", "Kyocera ECOSYS M2040dn"),
    "busy-after-job": Quirk("refuses jobs for a while after one", "Kyocera ECOSYS M2040dn", "seconds"),
    "stays-processing": Quirk(
        "a job stays Processing for a while after its last image, unless the client asks to close the connection",
        "Kyocera ECOSYS M2040dn", "seconds",
    ),
    "flatbed-waits-for-more": Quirk(
        "with ImagesToTransfer 0, a job of the platen waits after its image for a client that asks for another one",
        "OKI MC362dn, MB471",
    ),
    "closes-connections": Quirk("closes the connection after each answer", "many"),
    "images-with-length": Quirk("images come with Content-Length, not chunked", "several"),
    "bare-boundary": Quirk("no line end before MIME boundaries", "Xerox WorkCentre 3025"),
    "fault-status-200": Quirk("faults come with HTTP status 200", "Lexmark MB2236adw, Xerox 3225"),
    "duplex-flag-false": Quirk("ADFSupportsDuplex is false, yet ADFBack is described", "Brother MFC-9340CDW"),
    "duplex-without-back": Quirk("ADFSupportsDuplex is true, yet ADFBack is missing", "several"),
    "refuses-pretty-xml": Quirk("fails on requests with line ends between elements", "Brother L2750DW"),
    "literal-prefixes": Quirk("wants the prefixes soap and wsa to the letter", "Brother ADS-2700W"),
    "empty-feeder-as-job-id-not-found": Quirk("an empty feeder is ClientErrorJobIdNotFound", "Ricoh Aficio MP 201"),
    "images-to-transfer-zero-fails": Quirk("ImagesToTransfer 0 is refused", "Ricoh Aficio MP 201"),
    "start-is-element": Quirk('packages say start="<SOAP-ENV:Envelope>"', "Ricoh Aficio MP 201"),
    "empty-feeder-as-not-accepting": Quirk("an empty feeder is ServerErrorNotAcceptingJobs", "Canon MF410"),
    "needs-job-information": Quirk("JobInformation, which is optional, must be there", "Canon TR7500"),
    "probe-over-http-only": Quirk("answers Probe over HTTP, not over UDP", "Samsung M288x"),
    "one-subscription": Quirk("a new subscription ends the one before, and its DestinationToken", "Samsung M288x"),
    "misspelt-destination-fault": Quirk("sends ClientErrorInvalidDetinationToken", "Samsung M288x"),
    "panel-first": Quirk("ServerErrorNotAcceptingJobs until scanning is chosen at the panel", "Kyocera"),
    "no-image-type": Quirk("the image part has no useful media type", "several"),
    "xaddrs-by-resolve": Quirk("XAddrs only in ResolveMatches", "devices with the hosting API of Windows"),
    "size-of-image": Quirk(
        "images have the size that ImageInformation tells: the whole source, whatever is asked for", "HP M130fw"
    ),
    "other-resolution": Quirk("images have half the resolution that was asked for, from 600 dpi on", "Canon MF745C"),
}  # fmt: skip
"""Name → quirk."""
