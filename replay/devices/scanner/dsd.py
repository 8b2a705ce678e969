"""WS-DSD at the scanner: a control point reads the DSM device and watches its scans.

Body element and its child are in the namespace of WS-DSD, everything deeper in that of WS-Scan; events have actions in
the scan namespace. No request or response was ever published: their first level is taken to be WS-DSD's, and the
dissector's catalogue accepts both.

Sources: the WS-DSD pages of windows-driver-docs; fact table wsdsd.yaml (quirks K01, K02, open questions).
"""

from __future__ import annotations

from replay.devices.scanner.describing import DescribingService

__all__ = ["DSD", "DeviceService"]

DSD = "WS-DSD"


class DeviceService(DescribingService):
    """The service; it shows the scans that the device itself began."""

    service, prefix = DSD, "dsd"
