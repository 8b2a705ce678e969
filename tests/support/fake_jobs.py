"""Stories of jobs, told with :mod:`tests.support.fakes`: each step can be left out, changed or repeated by a test."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from dissector.messages import Attachment, Message
from tests.support.fakes import CLIENT, DEVICE, FILESHARE, SCANNER, SERVER, TOKEN, Play, filters, picture

__all__ = ["DsmJob", "ScanJob"]

SID = "S-1-5-21-1-2-3-1104"
PROCESS = "0C9C1A4E-4A5E-4C6E-9B55-8A7C5E2A1D11"
DONE = ((FILESHARE, "CompletedSuccessfully"),)


class DsmJob:
    """One post-scan job, as device and scan server speak."""

    def __init__(self, play: Play, token: str = TOKEN, *, device: str = DEVICE, server: str = SERVER, stream: int = 1):
        self.play, self.token = play, token
        self.device, self.server, self.stream = device, server, stream

    def ask(self, operation: str, body: dict[str, Any] | None = None, *, answer: bool = True, **more: Any) -> Message:
        more = {"client": self.device, "server": self.server, "stream": self.stream, **more}
        body = {"JobToken": self.token} if body is None else body
        asked = self.play.request("WS-DSP", operation, body, **more)
        if answer:
            self.play.answer(asked, {})
        return asked

    def create(self, dialects: Sequence[str] = (FILESHARE,), *, answer: bool = True, **more: Any) -> Message:
        body = {
            "UserIdentifier": SID,
            "PSP_Identifier": PROCESS,
            "PostScanInstructions": {
                **more,
                "DocumentRootName": "scan",
                "FiltersToProcess": {
                    "Filter": [
                        {
                            "Dialect": dialect,
                            "Instructions": {"FileShareConfig": {"FileShares": {"ShareUNC": r"\\files\scans"}}},
                        }
                        for dialect in dialects
                    ]
                },
            },
        }
        asked = self.ask("CreatePostScanJob", body, answer=False)
        if answer:
            self.created(asked)
        return asked

    def created(self, asked: Message) -> Message:
        return self.play.answer(asked, {"JobToken": self.token})

    def send(
        self, document: Any = 1, image: Attachment | None = None, *, format: str = "jfif", answer: bool = True,
        **more: Any,
    ) -> Message:  # fmt: skip
        body = {
            "JobToken": self.token,
            "DocumentDescription": {"DocumentId": document, "Format": format},
            "ImageData": None,
        }
        return self.ask("SendImage", body, answer=answer, attachments=[image or picture()], **more)

    def end(self, **more: Any) -> Message:
        return self.ask("EndPostScanJob", **more)

    def cancel(self, **more: Any) -> Message:
        return self.ask("CancelPostScanJob", **more)

    def status(
        self, state: str, images: Any = 0, filter_states: Sequence[tuple[Any, ...]] = ((FILESHARE, "Pending"),),
        reasons: Sequence[str] = (), *, service: str = "WS-DSP", sink: str | None = None, **more: Any,
    ) -> Message:  # fmt: skip
        body = {"JobToken": self.token, "JobState": state, "FilterStatuses": filters(*filter_states)}
        body["ImagesReceived"] = images
        if reasons:
            body["JobStateReasons"] = {"JobStateReason": list(reasons)}
        more.setdefault("parameters", [("Identifier", "sink-1")])
        return self.play.event(
            service, "PostScanJobStatusEvent", {"JobStatus": body}, source=self.server, sink=sink or self.device, **more
        )

    def final(
        self, state: str = "Completed", images: Any = 1, filter_states: Sequence[tuple[Any, ...]] = DONE,
        reasons: Sequence[str] = ("PostScanJobCompletedSuccessfully",), *, service: str = "WS-DSP",
        sink: str | None = None, process: str = PROCESS, **more: Any,
    ) -> Message:  # fmt: skip
        body = {
            "JobToken": self.token,
            "PSP_Identifier": process,
            "PSP_DisplayName": "Invoices",
            "JobOriginatingUserName": "anna@EXAMPLE",
            "JobCompletedState": state,
            "JobCompletedStateReasons": {"JobStateReason": list(reasons)},
            "FilterCompletedStatuses": filters(*filter_states),
            "ImagesReceived": images,
            "JobCompletedTime": "2026-01-02T03:04:05.678",
        }
        more.setdefault("parameters", [("Identifier", "sink-1")])
        return self.play.event(
            service, "PostScanJobEndStateEvent", {"PostScanJobEndState": body}, source=self.server,
            sink=sink or self.device, **more,
        )  # fmt: skip

    def subscribe(self, **more: Any) -> Message:
        names = ("PostScanJobStatusEvent", "PostScanJobEndStateEvent")
        return self.play.subscribe(names, client=self.device, server=self.server, **more)


class ScanJob:
    """One scan job, as scan client and scanner speak."""

    def __init__(
        self, play: Play, number: Any = 7, *, client: str = CLIENT, scanner: str = SCANNER, port: int = 80,
        stream: int = 11,
    ) -> None:  # fmt: skip
        self.play, self.number = play, number
        self.client, self.scanner, self.port, self.stream = client, scanner, port, stream

    def ask(self, operation: str, body: dict[str, Any] | None = None, **more: Any) -> Message:
        more = {"client": self.client, "server": self.scanner, "port": self.port, "stream": self.stream, **more}
        body = {"JobId": self.number} if body is None else body
        return self.play.request("WS-Scan", operation, body, **more)

    def create(
        self, source: str | None = "Platen", images: Any = 0, *, format: str = "jfif", answer: bool = True,
        **more: Any,
    ) -> Message:  # fmt: skip
        parameters: dict[str, Any] = {"Format": format, "ImagesToTransfer": images}
        if source is not None:
            parameters["InputSource"] = source
        parameters["MediaSides"] = {
            "MediaFront": {"ColorProcessing": "RGB24", "Resolution": {"Width": 300, "Height": 300}}
        }
        ticket = {
            "JobDescription": {"JobName": "letter", "JobOriginatingUserName": "anna"},
            "DocumentParameters": parameters,
        }
        asked = self.ask("CreateScanJob", {**more, "ScanTicket": ticket})
        if answer:
            self.created(asked)
        return asked

    def created(self, asked: Message) -> Message:
        return self.play.answer(asked, {"JobId": self.number, "JobToken": f"token-{self.number}"})

    def retrieve(self, image: Attachment | None = None, *, token: str | None = None) -> Message:
        asked = self.ask("RetrieveImage", {"JobId": self.number, "JobToken": token or f"token-{self.number}"})
        self.play.answer(asked, {"ScanData": None}, attachments=[image or picture(where="ScanData")])
        return asked

    def refused(self, operation: str, subcode: str, **more: Any) -> Message:
        return self.play.fault(self.ask(operation, **more), subcode)

    def cancel(self) -> Message:
        asked = self.ask("CancelJob")
        self.play.answer(asked, {})
        return asked

    def status(self, state: str, scans: Any = 0, *, service: str = "WS-Scan", **more: Any) -> Message:
        body = {"JobId": self.number, "JobState": state, "JobStateReasons": {"JobStateReason": ["None"]}}
        body["ScansCompleted"] = scans
        return self.play.event(
            service, "JobStatusEvent", {"JobStatus": body}, source=self.scanner, sink=self.client, **more
        )

    def final(
        self, state: Any = "Completed", scans: Any = 1, reasons: Sequence[str] = ("None",), *,
        service: str = "WS-Scan", **more: Any,
    ) -> Message:  # fmt: skip
        body = {
            "JobId": self.number,
            "JobCompletedState": state,
            "JobCompletedStateReasons": {"JobStateReason": list(reasons)},
            "JobName": "letter",
            "JobOriginatingUserName": "anna",
            "ScansCompleted": scans,
        }
        return self.play.event(
            service, "JobEndStateEvent", {"JobEndState": body}, source=self.scanner, sink=self.client, **more
        )

    def available(self, identifier: str | None = "scan-1", context: str = "Scan", **more: Any) -> Message:
        body = {"ClientContext": context, **({"ScanIdentifier": identifier} if identifier else {})}
        return self.play.event("WS-Scan", "ScanAvailableEvent", body, source=self.scanner, sink=self.client, **more)
