"""dsmshark: a dissector for Web Services on Devices scanning and Distributed Scan Management.

    >>> import dissector
    >>> with dissector.open("pcaps/dsm-completed.pcapng") as capture:
    ...     for message in capture.messages:
    ...         if message.kind == "event" and message.name == "PostScanJobEndStateEvent":
    ...             print(message.service, message.get("PostScanJobEndState/JobCompletedState"))
    WS-DSP Completed

Nothing but the standard library is imported until a capture is opened.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dissector.reader import Capture
    from dissector.reader import open_capture as open  # noqa: A004 - as gzip.open and zipfile do

__all__ = ["Capture", "__version__", "open"]

__version__ = "0.1.0"

_LAZY = {"open": ("dissector.reader", "open_capture"), "Capture": ("dissector.reader", "Capture")}


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        from importlib import import_module

        module, attribute = _LAZY[name]
        return getattr(import_module(module), attribute)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
