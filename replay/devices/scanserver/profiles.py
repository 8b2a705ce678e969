"""How a scan server answers: as the specification says, or as the Windows servers are known to.

Source: product behaviour notes of MS-BDSRR (section 7), by number; what HTTP looks like: traces of Windows servers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from replay.soap.compose import Style

__all__ = ["PROFILES", "Profile"]


@dataclass(frozen=True, slots=True)
class Profile:
    """One kind of server.

    Attributes:
        summary: one line for people.
        token_must_be_guid: another token gets wsa:EndpointUnavailable (notes 14, 15).
        ignores_unknown_names: a request for an unknown section is not answered (notes 13, 16).
        terminating: Terminating is shown (note 9: Windows never does).
        warnings: PostScanJobCompletedWithWarnings exists (note 8).
        change_event: RepositoryElementsChangeEvent is sent (note 17: Windows never does).
        extensions: the spx flags of scan processes are understood; only 2008 R2 does not know them (notes 2 to 7).
        style: HTTP.
    """

    summary: str
    token_must_be_guid: bool = False
    ignores_unknown_names: bool = False
    terminating: bool = True
    warnings: bool = True
    change_event: bool = True
    extensions: bool = True
    style: Style = field(default_factory=Style)


_WINDOWS = Style(empty_reason=True, split_head=True, server="Microsoft-HTTPAPI/2.0")

PROFILES: Mapping[str, Profile] = {
    "specification": Profile("what the specification says, and all of it"),
    "windows-2008-r2": Profile(
        "Windows Server 2008 R2: tokens must be GUIDs, unknown sections are ignored, no warnings state",
        token_must_be_guid=True, ignores_unknown_names=True, terminating=False, warnings=False, change_event=False,
        extensions=False, style=_WINDOWS,
    ),
    "windows-2012-r2": Profile(
        "Windows Server 2012 and 2012 R2: no Terminating, no RepositoryElementsChangeEvent",
        terminating=False, change_event=False, style=_WINDOWS,
    ),
    "windows-2016": Profile(
        "Windows Server 2016 to 1803: no Terminating, no RepositoryElementsChangeEvent",
        terminating=False, change_event=False, style=_WINDOWS,
    ),
}  # fmt: skip
"""Name → profile; the first is the default."""
