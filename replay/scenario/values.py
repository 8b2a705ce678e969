"""Values of a recorded conversation: the texts that a replay must not simply send, or expect, as recorded.

A value has a name, the text it had, all places where that text stood, and a maker: the party that makes it, whoever is
played. What a replay does with it follows from that: a party that is played makes a new one, what another one makes is
read where it is handed out, and what nobody makes (a value of the site) is given by a person.

A URL is one value where it is a whole text; its path (for the request line) and its authority (for ``Host``) are values
of their own, born in a part of the same text. :func:`rebind` reads any of them out of the text that a new peer sent.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["KINDS", "WHERE", "Place", "Value", "authority_of", "base_of", "is_url", "path_of", "rebind", "snake"]

WHERE = ("body", "header", "target", "http")
"""Where in a message a value can stand."""

KINDS = ("token", "identifier", "address", "message_id", "parameter", "uuid", "cookie", "vendor")
"""What a value can be."""

GUID = re.compile(
    r"(?<![0-9A-Fa-f])[0-9A-Fa-f]{8}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{4}-[0-9A-Fa-f]{12}(?![0-9A-Fa-f-])"
)
_PARTS = re.compile(r"([^:/?#\s]+)://([^/?#\s]*)([^#\s]*)")
_URL = re.compile(r"https?://[^/?#\s]+[^\s#]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a text stands.

    Attributes:
        message: index in the given sequence.
        where: ``body``, ``header`` (a SOAP header block), ``target`` (of an HTTP request) or ``http`` (an HTTP header).
        path: below the body element, or from the header block on, such as ``JobStatus/JobToken``, ``From/Address``;
            an attribute as ``@Name`` behind the path of its element; the second of its name as ``[2]``. For ``http``
            the name of the header, and for a cookie ``/`` and its name behind that. "" for a target, and for the
            body element itself.
        whole: the value is the whole (trimmed) text there, else a part of it.
    """

    message: int
    where: str
    path: str
    whole: bool = True


@dataclass(slots=True)
class Value:
    """A value.

    Attributes:
        name: unique, snake_case, such as ``job_token``, ``job_token_2``, ``sink_address``.
        recorded: the text it had.
        kind: one of :data:`KINDS`.
        maker: name of the party that makes it; "" for a value of the site, which a person gives.
        born: where it was first handed out (in a whole text or a part of one), None where the messages do not have
            that. The message is mostly its maker's own; the address of a sink elsewhere is told by who subscribes.
        uses: the other places, in order.
        why: one sentence: why it was taken for one.
        sure: False for one that only looks like it; a second recording of the same story settles it.
    """

    name: str
    recorded: str
    kind: str
    maker: str
    born: Place | None = None
    uses: list[Place] = field(default_factory=list)
    why: str = ""
    sure: bool = True

    @property
    def places(self) -> list[Place]:
        """Where it stands: ``born`` and ``uses``."""
        return [self.born, *self.uses] if self.born is not None else list(self.uses)


def snake(name: str) -> str:
    """An element's name as the name of a value: ``SaveToSharePointSiteURL`` → ``save_to_share_point_site_url``."""
    words = re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+", name)
    made = "_".join(words).lower()
    return made if made[:1].isalpha() else f"value_{made}".rstrip("_")


def is_url(text: str) -> bool:
    """It is one http or https URL with an authority."""
    return _URL.fullmatch(text) is not None


def authority_of(url: str) -> str:
    """Host and port as written: ``192.0.2.1:5357``."""
    return _split(url)[1]


def base_of(url: str) -> str:
    """Scheme and authority as written: ``http://192.0.2.1:5357``."""
    scheme, authority, _ = _split(url)
    return f"{scheme}://{authority}"


def path_of(url: str) -> str:
    """What a request line holds: path and query, ``/`` for none."""
    return _split(url)[2]


def _split(url: str) -> tuple[str, str, str]:
    # Not urllib's: it changes the case of the scheme, and raises on brackets that a peer may well write.
    parts = _PARTS.match(url)
    if parts is None:
        return "", "", url
    path = parts[3]
    return parts[1], parts[2], path if path.startswith("/") else f"/{path}"


def rebind(recorded: str, before: str, after: str) -> str | None:
    """A value out of the text that a new peer sent where the recorded one was born.

    Args:
        recorded: the value's recorded text.
        before: the recorded text of that place.
        after: the new text of that place.

    Returns:
        The new value, None where it cannot be told: the new text has another form.
    """
    before, after = before.strip(), after.strip()
    if before == recorded:
        return after or None
    old, new = [one for one in before.split() if is_url(one)], [one for one in after.split() if is_url(one)]
    for place, url in enumerate(old):
        for part in (str, path_of, authority_of, base_of):
            if part(url) == recorded and new:
                return part(new[min(place, len(new) - 1)])
    if GUID.fullmatch(recorded):
        # The prefix may be another one (uuid:, urn:uuid:, braces), the identity is what counts.
        known = [one.lower() for one in GUID.findall(before)]
        found: list[str] = GUID.findall(after)
        if recorded.lower() in known and known.index(recorded.lower()) < len(found):
            return found[known.index(recorded.lower())]
        return None
    start = before.find(recorded)
    if start < 0 or not recorded:
        return None
    head, tail = before[:start], before[start + len(recorded) :]
    if len(after) > len(head) + len(tail) and after.startswith(head) and after.endswith(tail):
        return after[len(head) : len(after) - len(tail)]
    return None
