"""What the states of jobs mean, for post-scan jobs and scan jobs alike."""

from __future__ import annotations

from dissector.catalog.prefixes import PREFIXES
from dissector.catalog.registry import ENUMS
from dissector.soap.model import QName

__all__ = ["END_STATES", "FILTER_NAMES", "end_state", "filter_name", "is_known_state"]

END_STATES = ("Aborted", "Canceled", "Completed")
"""The end states of a job (WS-DSP JobCompletedState; terminal values of every JobState)."""

_KNOWN = {
    value.casefold(): value
    for name in ("dsp:JobState", "dsc:JobState", "wscn:JobState", "wscn:JobCompletedState")
    for value in ENUMS[name].values
}
# Both spellings occur: the fault is ClientErrorJobCancelled, the state Canceled.
_KNOWN["cancelled"] = "Canceled"

FILTER_NAMES = {PREFIXES["emlf"]: "email", PREFIXES["fsf"]: "fileshare", PREFIXES["spf"]: "sharepoint"}
"""Dialect of a filter → its short name."""


def end_state(value: str | None) -> str:
    """What a JobCompletedState says.

    Returns:
        "Aborted", "Canceled" or "Completed" for these, whatever the case and with ``Cancelled`` for ``Canceled``;
        "state" for a value of JobState that is no end state (such as ``Terminating``, which WS-Scan lists although it
        is not final); "vendor" for any other text; "" for none.
    """
    if not value:
        return ""
    known = _KNOWN.get(value.strip().casefold())
    if known is None:
        return "vendor"
    return known if known in END_STATES else "state"


def is_known_state(value: str) -> bool:
    """A value of JobState that the specifications know, of any service."""
    return value.strip().casefold() in _KNOWN


def filter_name(dialect: str | QName) -> str | None:
    """``email``, ``fileshare`` or ``sharepoint`` of a filter's Dialect, None for another one.

    The URI form and the QName form of WS-DSC's configuration (namespace, "/", local name) are the same identity.
    """
    uri = f"{dialect.namespace}/{dialect.local}" if isinstance(dialect, QName) else dialect.strip()
    return FILTER_NAMES.get(uri)
