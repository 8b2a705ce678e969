"""Jobs for people: the table with one row a job, and the story of one job step by step."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from dissector.analysis.model import Image, Job
from dissector.analysis.summary import duration, outcome
from dissector.analysis.words import explain
from dissector.base.findings import Severity, worst
from dissector.messages.images import fits
from dissector.output.findings import finding_lines
from dissector.output.table import Column, table
from dissector.output.text import (
    PLAIN,
    Palette,
    clip,
    count,
    frames_text,
    host_of,
    printable,
    short_id,
    short_uri,
    size_text,
)
from dissector.output.times import duration_text, iso_time, seconds_text

__all__ = ["job_findings", "job_name", "job_story", "jobs_table"]

_HEADS = (
    Column("Job"),
    Column("Kind"),
    Column("Device", least=15),
    Column("Server", least=17),
    Column("User", least=6),
    Column("Images", right=True),
    Column("Outcome"),
    Column("Reasons", least=12),
    Column("Filters", least=8),
    Column("Took", right=True),
    Column("Frame", right=True),
    Column("Findings"),
)
_OUTCOME = 6
_FINDINGS = 11
_UNSAID = frozenset(["job.mixed-formats"])
"""Notes that the list leaves to the story of the job: they answer no question that a list is asked."""
_WIDE_ENOUGH = 100
_USER = 24


def job_name(job: Job) -> str:
    """What a table calls the job: its short id, ``(no id)`` where no message told one."""
    return short_id(job.id) if job.id else "(no id)"


def jobs_table(jobs: Sequence[Job], columns: int = 140, paint: Palette = PLAIN) -> Iterator[str]:
    """The table, one row a job; ``columns``: width of the terminal, at least 100 are used."""
    rows: list[list[str]] = []
    ids: list[str] = []
    roles: list[tuple[str, str]] = []
    # Cells that are the same are one text: 600 bytes less for each of a hundred thousand jobs.
    shared: dict[str, str] = {}
    # Once over the jobs: where there are many, each time makes them anew.
    for job in jobs:
        severity = worst(job.findings)
        roles.append((outcome_role(job), severity.value if severity is not None else ""))
        rows.append([shared.setdefault(cell, cell) for cell in _row(job)])
        ids.append(job.id)
    del shared
    for row, name in zip(rows, _distinct(ids, [row[0] for row in rows]), strict=True):
        row[0] = name

    def role(row: int, column: int) -> str:
        return roles[row][column == _FINDINGS] if column in (_OUTCOME, _FINDINGS) else ""

    yield from table(_HEADS, rows, max(columns, _WIDE_ENOUGH), paint, role)


def outcome_role(job: Job) -> str:
    """The colour of an outcome."""
    text = outcome(job)
    if text == "Completed":
        return "good"
    return "warn" if text in ("Canceled", "no end seen", "incomplete", "Completed with warnings") else "error"


def _distinct(ids: Sequence[str], short: Sequence[str]) -> list[str]:
    """Names: the short ones; jobs whose short names are the same are called by their whole ids."""
    first: dict[str, str] = {}
    doubtful = {name for one, name in zip(ids, short, strict=True) if first.setdefault(name, one) != one}
    return [
        printable(clip(one, 40)) if name in doubtful and one else name for one, name in zip(ids, short, strict=True)
    ]


def _row(job: Job) -> list[str]:
    text = outcome(job)
    inferred = job.completed_by == "inferred" and job.completed_state is None
    return [
        job_name(job),
        "scan, push" if job.push else job.kind,
        printable(job.device),
        printable(job.server),
        clip(printable(job.user or job.user_sid or ""), _USER),
        _images(job),
        printable(text) + (" (inferred)" if inferred else ""),
        _reasons(job, text),
        ", ".join(f"{short_uri(f.dialect)} {_filter_word(f.state)}" for f in job.filters),
        duration_text(duration(job)),
        str(job.first_frame),
        _tally(job),
    ]


def _reasons(job: Job, told: str) -> str:
    """The reasons of the end state, without what the outcome says already."""
    said = told.replace(" ", "").lower()
    short = [printable(r).removeprefix("PostScan").removeprefix("Job") for r in job.completed_state_reasons]
    return ", ".join(r for r in short if r.lower() not in (said, "completedsuccessfully", "none"))


def _filter_word(state: str) -> str:
    words = {
        "CompletedSuccessfully": "ok",
        "CompletedWithErrors": "errors",
        "CompletedWithWarnings": "warnings",
        "Canceled": "canceled",
        "Pending": "pending",
        "Processing": "processing",
    }
    return words.get(state) or printable(state) or "?"


def _images(job: Job) -> str:
    seen = sum(image.accepted is not False for image in job.images)
    told = job.images_received
    if told is not None and told < seen and job.completed_by is None:
        # A status from before the last images is no contradiction.
        return str(seen)
    return (
        str(seen)
        if told is None or told == seen
        else f"{seen} of {told}"
        if told > seen
        else f"{seen} sent, {told} received"
    )


def _tally(job: Job) -> str:
    counts = [(severity, sum(f.severity is severity for f in job.findings)) for severity in Severity]
    return ", ".join(
        f"{number} {severity.value}" for severity, number in counts if number and severity is not Severity.CHAT
    )


def job_findings(jobs: Iterable[Job], paint: Palette = PLAIN) -> Iterator[str]:
    """The findings of the jobs in words, below a line for each job that has some."""
    for job in jobs:
        shown = [f for f in job.findings if f.severity is not Severity.CHAT and f.rule not in _UNSAID]
        if not shown:
            continue
        yield ""
        yield paint("title", f"{job.kind} job {job_name(job)}: {printable(outcome(job))}")
        for line in finding_lines(shown, paint):
            yield f"  {line}"


# -- the story of one job ----------------------------------------


def job_story(job: Job, paint: Palette = PLAIN) -> Iterator[str]:
    """All that is known of one job, line by line."""
    yield paint("title", f"{job.kind} job {printable(job.id) or '(no id)'}")
    for label, text in _facts(job):
        yield f"  {label:<12} {text}"
    for reason in job.completed_state_reasons:
        if reason != "None":
            yield f"  {'reason':<12} {printable(explain(reason))}"
    if job.filters:
        yield ""
        yield paint("title", "Filters")
        for result in job.filters:
            yield f"  {short_uri(result.dialect)}: {printable(result.state) or 'no state'}"
            for reason in result.reasons:
                yield f"    {printable(explain(reason))}"
    if job.images:
        yield ""
        yield paint("title", "Images")
        for image in job.images:
            yield from _image(image)
    yield ""
    yield paint("title", "Steps")
    yield from _steps(job, paint)
    if job.faults:
        yield ""
        yield paint("title", "Faults")
        for fault in job.faults:
            what = f"{fault.operation}: {fault.subcode or fault.code}"
            usual = " (the usual end)" if fault.normal else ""
            reason = f" – {fault.reason}" if fault.reason else ""
            yield f"  frame {fault.frame}: {printable(what + reason)}{usual}"
    yield ""
    if job.findings:
        yield paint("title", "Findings")
        for line in finding_lines(job.findings, paint):
            yield f"  {line}"
    else:
        yield "No findings."


def _facts(job: Job) -> Iterator[tuple[str, str]]:
    told = {
        "event": "told by the completion event",
        "history": "told by a later answer, no completion event seen",
        "inferred": "inferred, no completion event seen",
    }.get(job.completed_by or "", "no message in the capture tells the end")
    yield "outcome", f"{printable(outcome(job))} ({told})"
    device, server = ("device", "scan server") if job.kind == "post-scan" else ("scanner", "client")
    yield device, printable(job.device) or "unknown"
    yield server, printable(job.server) or "unknown"
    if job.push:
        yield "started", "at the device (push scan)"
    user = " ".join(part for part in (job.user, f"({job.user_sid})" if job.user_sid else "") if part)
    if user:
        yield "user", printable(user)
    process = " ".join(part for part in (job.process_name, f"({job.process})" if job.process else "") if part)
    if process:
        yield "process", printable(process)
    if job.document_name:
        yield "document", printable(job.document_name)
    for line in job.instructions:
        yield "asked for", printable(line)
    yield "created", iso_time(job.created, job.digits) or "not in the capture"
    yield "ended", iso_time(job.ended, job.digits) or "not in the capture"
    if duration(job) is not None:
        yield "took", duration_text(duration(job))
    if job.created_time or job.completed_time:
        yield "its clock", printable(f"created {job.created_time or '?'}, completed {job.completed_time or '?'}")
    if job.images_received is not None:
        verb = "received" if job.kind == "post-scan" else "scanned"
        yield "images", f"{len(job.images)} in the capture, {job.images_received} {verb} as the peer says"
    yield "frames", f"{job.first_frame} to {job.last_frame}"


def _image(image: Image) -> Iterator[str]:
    kind = image.format or image.real_type or image.media_type or "unknown type"
    odd = image.real_type and image.format and not fits(image.format, image.real_type)
    real = f", really {image.real_type}" if odd else ""
    state = {True: "taken", False: "refused", None: "no answer seen"}[image.accepted]
    if not image.complete:
        state += f", incomplete ({count(image.missing, 'byte')} missing)" if image.missing else ", cut short"
    document = "?" if image.document_id is None else printable(str(image.document_id))
    frames = f"frames {frames_text(image.frames, 3)}" if image.frames else "no frames"
    yield f"  {document:>3}  {printable(kind)}{printable(real)}, {size_text(image.size)}, {state}, {frames}"
    if image.sha256:
        yield f"       sha256 {image.sha256}"


def _steps(job: Job, paint: Palette) -> Iterator[str]:
    steps = job.timeline
    if not steps:
        yield "  none"
        return
    # One that waited behind a gap stands below what came after it.
    start = min(step.time for step in steps)
    times = [seconds_text(step.time - start, min(job.digits, 3)) for step in steps]
    wide = max(len(text) for text in times)
    frames = max(len(str(step.frame)) for step in steps)
    name = min(max(len(step.name) for step in steps), 34)
    yield paint("dim", f"  {'seconds':>{max(wide, 7)}}  {'frame':>{max(frames, 5)}}  from → to")
    for text, step in zip(times, steps, strict=True):
        way = f"{host_of(step.source)} → {host_of(step.destination)}"
        yield (
            f"  {text:>{max(wide, 7)}}  {step.frame:>{max(frames, 5)}}  {printable(way)}  "
            f"{printable(step.name):<{name}}  {printable(step.text)}"
        ).rstrip()
