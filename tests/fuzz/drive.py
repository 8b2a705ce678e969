"""Everything that can be asked of a capture, asked of one."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import dissector
from dissector.analysis import Analysis
from dissector.assembly import MessagePass
from dissector.base.errors import UnreadableInput
from dissector.base.limits import DEFAULT_LIMITS, Limits
from dissector.capture import open_source
from dissector.http.model import BodyPolicy
from dissector.output.events import EventBodies, events_json
from dissector.output.findings import finding_line
from dissector.output.jobs_json import jobs_json
from dissector.output.jobs_text import job_story, jobs_table
from dissector.output.plain import message_json
from dissector.output.summary import summary
from dissector.output.tree import message_tree
from tests.fuzz.oracles import Broken, fits_schema, harmless, known_rules, within

__all__ = ["SMALL", "drive", "secrets_late", "told", "within"]


SMALL = 700
"""Bytes of a small block."""


def drive(data: bytes, limits: Limits = DEFAULT_LIMITS) -> list[str]:
    """Read a capture, and make every text and object of it; gives the names of its messages.

    Only :class:`UnreadableInput` is an answer; every other exception is a defect and goes through.
    """
    names = []
    try:
        with dissector.open(io.BytesIO(data), limits=limits) as capture:
            bodies = EventBodies()
            for message in capture.all_soap:
                names.append(message.name)
                bodies(message)
                harmless(summary(message))
                for line in message_tree(message, origin=True):
                    harmless(line)
                fits_schema(message_json(message), "dsmshark.message/1")
                known_rules(message.all_findings())
                for field in [message.body, *message.headers]:
                    if field is not None:
                        message.place_of(field)
            found = capture.findings
            known_rules(found)
            fits_schema(jobs_json(capture.jobs, [], found, interrupted=False), "dsmshark.jobs/1")
            pairs = [(event, bodies.kept.get(event.message)) for event in capture.events]
            fits_schema(events_json(pairs, [], found, interrupted=False), "dsmshark.events/1")
            texts = [finding_line(finding) for finding in found]
            for job in capture.jobs:
                texts += job_story(job)
            for text in [*texts, *jobs_table(capture.jobs)]:
                harmless(text)
            for host in capture.analysis.endpoints:
                json.dumps(host.to_json())
    except UnreadableInput as refusal:
        if not str(refusal):
            raise Broken("refused without a word") from refusal
    return names


def told(data: bytes, block_bytes: int, limits: Limits = DEFAULT_LIMITS) -> Any:
    """What a capture says, read in blocks of a size; must not depend on that size."""
    try:
        with open_source(io.BytesIO(data), block_bytes=block_bytes, limits=limits) as source:
            reading = MessagePass(source, policy=BodyPolicy(digest=True), limits=limits)
            analysis = Analysis(limits=limits)
            messages = []
            for message in reading:
                messages.append(message_json(message))
                if message.wsd:
                    analysis.feed(message)
            analysis.finish()
            return {
                "messages": messages,
                "jobs": [jobs_json([job], [], [], interrupted=False) for job in analysis.jobs],
                # What belongs to the container is told once a block, so its order is that of the blocks.
                "container": sorted(map(str, source.info.findings)),
                "findings": [str(finding) for finding in reading.findings[len(source.info.findings) :]],
                "decrypted": reading.tls_decrypted,
            }
    except UnreadableInput as refusal:
        return str(refusal)


def secrets_late(data: bytes) -> bool:
    """Whether secrets inside a capture are met behind packets, where it is read in small blocks."""
    with contextlib.suppress(UnreadableInput), open_source(io.BytesIO(data), block_bytes=SMALL) as source:
        packets, known = 0, 0
        for block in source:
            if packets and len(source.info.secrets) > known:
                return True
            packets += len(block)
            known = len(source.info.secrets)
    return False
