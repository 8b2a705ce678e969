"""A scenario: a recorded sequence as a text that a person edits, and a program plays.

Ordered steps say who sends what to whom and what comes back. What a party hands out at run time, and what belongs to a
site, are *values* with names; where they stand in a message there is ``${name}``. Bodies, heads and images are files
beside the scenario, as recorded but for that. Nothing in it depends on which party is played.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["FORMAT", "PARTS", "Birth", "Bound", "Part", "Party", "Scenario", "Step", "Wire"]

FORMAT = "dsmreplay.scenario/1"
"""What the first line of ``scenario.yaml`` says."""

PARTS = ("message", "answer")
"""Where in a step a value is handed out."""


@dataclass(slots=True)
class Party:
    """One side.

    Attributes:
        name: such as ``device``.
        role: in words of the field.
        bases: recorded base URLs that it listens on, such as ``http://192.0.2.20:5362``; that of its event sink is one
            of them. Empty for a side that serves nothing.
    """

    name: str
    role: str
    bases: tuple[str, ...] = ()


@dataclass(slots=True)
class Birth:
    """Where a party gets to know a value.

    Attributes:
        step: in which step.
        part: ``message`` or ``answer`` of it.
        where, path: where in it, as in :class:`replay.scenario.values.Place`.
        within: the whole recorded text of that place, where the value is a part of it; else "".
    """

    step: int
    part: str
    where: str
    path: str
    within: str = ""


@dataclass(slots=True)
class Bound:
    """A value with a name.

    A scenario does not depend on who is played: what a played party made is made anew, what another one made is read
    where a played party receives it.

    Attributes:
        name: as in ``${name}``.
        recorded: the text it had.
        maker: the party that makes it; "" for a value of the site, which a person gives.
        kind: one of :data:`KINDS`.
        step: step in which its maker hands it out, 0 where the capture does not have that.
        part: ``message`` or ``answer`` of that step.
        where, path: where in it, as in :class:`replay.scenario.values.Place`.
        within: the whole recorded text of that place, where the value is a part of it; else "".
        why: why it was taken for a value.
        default: for values of a site: what is sent unless another one is given; else "".
        secret: name of the environment variable that gives it, "" for none.
        sure: False where it only looks like one.
        again: where further parties get to know it, each for the first time.
    """

    name: str
    recorded: str
    maker: str
    kind: str = "parameter"
    step: int = 0
    part: str = "answer"
    where: str = ""
    path: str = ""
    within: str = ""
    why: str = ""
    default: str = ""
    secret: str = ""
    sure: bool = True
    again: list[Birth] = field(default_factory=list)


@dataclass(slots=True)
class Part:
    """A part of a MIME package.

    Attributes:
        head: its raw headers with the empty line.
        file: holds its bytes, as they were sent; "" for the root part: that is the envelope.
        before: raw bytes in front of its head, None for the usual delimiter line. Raw bytes are text in latin-1.
        coding: transfer coding that an envelope is sent in: ``base64``, ``quoted-printable`` or "".
    """

    head: str
    file: str = ""
    before: str | None = None
    coding: str = ""


@dataclass(slots=True)
class Wire:
    """An HTTP message as recorded.

    Attributes:
        head: file of the raw head (start line, headers, empty line), with ``${name}`` where values stand and
            ``${#length}`` for the length of the body.
        xml: file of the envelope, "" for none.
        file: file of a body that is neither an envelope nor a package, "" for none.
        encoding: of the envelope where it is not UTF-8, such as ``utf-16-le``; the file is in UTF-8 in any case.
        parts: of a package, the root part among them; empty for a plain body.
        final: raw bytes behind the last part (``--boundary--`` and what follows), as text in latin-1.
        codings: content codings of the body in the order they were applied, such as ``gzip``.
        chunks: size lines of a chunked body, see :mod:`replay.scenario.chunks`; empty for a length.
        trailer: raw lines behind the last chunk, as text in latin-1.
        written: name of a value → how it is written here, where that is not the plain way.
    """

    head: str
    xml: str = ""
    file: str = ""
    encoding: str = ""
    parts: list[Part] = field(default_factory=list)
    final: str = ""
    codings: list[str] = field(default_factory=list)
    chunks: list[str] = field(default_factory=list)
    trailer: str = ""
    written: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Step:
    """One message and its answer.

    Attributes:
        number: from 1.
        name: message of the catalogue.
        service: of the catalogue.
        event: a notification: it comes when the peer has something to tell, not when it is asked.
        sender, receiver: names of parties.
        time: seconds since the first step.
        took: seconds until the answer.
        message: what is sent.
        answer: what came back, None where nothing was seen.
        origin: where it was recorded, for people.
        connection: label of the recorded TCP connection, such as ``c1``; "" where that is not known.
        optional: it need not happen.
        rules: (path, how) that judge what a played party receives in this step.
    """

    number: int
    name: str
    service: str
    event: bool
    sender: str
    receiver: str
    time: float
    took: float
    message: Wire
    answer: Wire | None = None
    origin: str = ""
    connection: str = ""
    optional: bool = False
    rules: list[tuple[str, str]] = field(default_factory=list)


@dataclass(slots=True)
class Scenario:
    """A whole scenario.

    Attributes:
        name: for people.
        capture: name of the capture it was made from.
        parties: by name.
        plays: the party that is played unless told otherwise.
        values: by name.
        steps: in order.
        rules: (path, how) that hold for all steps, behind a step's own.
        missing: what the capture did not hold, in words.
    """

    name: str
    capture: str
    parties: dict[str, Party]
    plays: str
    values: dict[str, Bound]
    steps: list[Step]
    rules: list[tuple[str, str]] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def of(self, party: str) -> Sequence[Step]:
        """The steps that a party sends."""
        return [step for step in self.steps if step.sender == party]
