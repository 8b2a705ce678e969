"""The device host: what it takes, and each way to be refused."""

from __future__ import annotations

from typing import Any

import pytest

from dissector.catalog import check
from dissector.http.writer import build_request
from dissector.messages import Message
from dissector.soap.build import anonymous
from dissector.soap.model import EndpointReference
from dissector.soap.namespaces import SOAP12, WSA04, WSA10, WSCN
from replay.devices.host import Call, Ignored, Reply
from replay.soap.caller import action_of
from replay.soap.compose import Style
from tests.support.event_rig import ANONYMOUS, CANCEL, PICTURE, RETRIEVE, Rig, envelope, over_http, plain_answers
from tests.support.loopback import run, until


def get(rig: Rig, data: bytes, method: str = "POST") -> Any:
    async def story() -> Any:
        async with rig:
            return await rig.ask(data, method)

    return run(story())


def ask(data: bytes, rig: Rig | None = None) -> Message:
    async def story() -> Message:
        async with rig or Rig() as given:
            return await given.soap(data)

    message: Message = run(story())
    # What answers a request without a MessageID has nothing to relate to.
    asked = b"MessageID" in data
    errors = [one.rule for one in message.findings if one.severity == "error"]
    assert errors == ([] if asked else ["wsa.no-relates-to"])
    return message


def refused(data: bytes, rig: Rig | None = None) -> tuple[str, str | None, str]:
    """Code, subcode and reason of the fault."""
    rig = rig or Rig()
    message = ask(data, rig)
    assert message.fault is not None, message.name
    assert rig.calls == []
    return message.fault.code, message.fault.subcode, message.fault.reason


def xml(data: Any = None, **given: Any) -> bytes:
    return over_http(envelope("CancelJobRequest", {"job_id": 1} if data is None else data, **given))


def test_an_answer() -> None:
    rig = Rig()
    answer = ask(CANCEL, rig)
    assert plain_answers(answer) == ("CancelJobResponse", "urn:uuid:asked", ANONYMOUS)
    assert answer.findings == []
    assert answer.body is not None
    assert check(answer.body) == []
    assert rig.after == [True]
    assert [(call.service, call.operation) for call in rig.calls] == [("WS-Scan", "CancelJob")]


def test_an_answer_with_a_picture() -> None:
    answer = ask(RETRIEVE)
    assert (answer.name, answer.findings) == ("RetrieveImageResponse", [])
    assert [one.content.data() for one in answer.attachments] == [PICTURE]


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/", "POST", 404), ("/scan/x", "POST", 404), ("/scan", "GET", 405), ("/scan", "PUT", 405),
        ("/nothing", "GET", 404), ("/scan", "HEAD", 405),
    ],
)  # fmt: skip
def test_paths_and_methods(path: str, method: str, status: int) -> None:
    answer = get(Rig(), build_request(method, path, [("Host", "h")]), method)
    assert (answer.status, answer.body.size, answer.complete) == (status, 0, True)
    assert answer.header("Allow") == ("POST" if status == 405 else None)


@pytest.mark.parametrize("path", ["/scan", "/scan/", "/scan?x=y", "http://127.0.0.1/scan"])
def test_paths_that_are_the_same(path: str) -> None:
    assert get(Rig(), over_http(envelope("CancelJobRequest", {"job_id": 1}), path)).status == 200


@pytest.mark.parametrize(("kind", "status"), [("text/plain", 415), ("application/json", 415), ("image/png", 415)])
def test_other_media_types(kind: str, status: int) -> None:
    assert get(Rig(), over_http(b"{}", content_type=kind)).status == status


@pytest.mark.parametrize(
    "body",
    [
        b"", b"hello", b"<a/>", b"<a", b"\xff\xfe\x00", b"<!DOCTYPE a [<!ENTITY e 'x'>]><a>&e;</a>",
        envelope("CancelJobRequest", {"job_id": 1})[:-20],
    ],
)  # fmt: skip
def test_junk_in_place_of_an_envelope(body: bytes) -> None:
    answer = get(Rig(), over_http(body))
    assert answer.status == 400
    assert b"no SOAP envelope that can be read" in answer.body.data()


def test_soap_1_1() -> None:
    assert refused(xml(version="1.1")) == (
        "VersionMismatch", None, f"The envelope must be in the namespace {SOAP12}",
    )  # fmt: skip
    assert get(Rig(), xml(version="1.1")).status == 500


ID = b"<wscn:JobId>1</wscn:JobId>"


def block(name: str, **attributes: str) -> Any:
    from lxml import etree

    made = etree.Element(name, nsmap={"o": "urn:odd", "soap": SOAP12})
    for key, value in attributes.items():
        made.set(f"{{{SOAP12}}}{key}", value)
    return made


@pytest.mark.parametrize("value", ["1", "true", " true "])
@pytest.mark.parametrize("role", [None, f"{SOAP12}/role/next", f"{SOAP12}/role/ultimateReceiver"])
def test_a_header_that_must_be_understood(value: str, role: str | None) -> None:
    given = {"mustUnderstand": value, **({"role": role} if role else {})}
    code, subcode, reason = refused(xml(headers=[block("{urn:odd}Security", **given)]))
    assert (code, subcode) == ("MustUnderstand", None)
    assert "Security is not understood" in reason


@pytest.mark.parametrize(
    "header",
    [
        block("{urn:odd}Security"), block("{urn:odd}Security", mustUnderstand="0"),
        block("{urn:odd}Security", mustUnderstand="1", role=f"{SOAP12}/role/none"),
        block(f"{{{WSA04}}}From", mustUnderstand="1"),
    ],
)  # fmt: skip
def test_headers_that_need_not_be_understood(header: Any) -> None:
    assert ask(xml(headers=[header])).name == "CancelJobResponse"


def test_an_action_is_needed() -> None:
    data = envelope("CancelJobRequest", {"job_id": 1}).replace(b"wsa:Action>", b"wsa:Auction>")
    code, subcode, reason = refused(over_http(data))
    assert (code, subcode, reason) == ("Sender", "MessageInformationHeaderRequired", "The header Action is missing")


def test_a_message_id_is_needed_where_an_answer_is_due() -> None:
    data = envelope("CancelJobRequest", {"job_id": 1}).replace(b"wsa:MessageID>", b"wsa:MassageID>")
    code, subcode, reason = refused(over_http(data))
    assert (code, subcode, reason) == ("Sender", "MessageInformationHeaderRequired", "The header MessageID is missing")


@pytest.mark.parametrize("part", [b"<wsa:Action>http:", b'xmlns:wscn="http:', b"http:"])
@pytest.mark.parametrize("other", [b"2006/01/wdp/scan", b"2006/08/wdp/scan"])
def test_the_namespace_of_older_examples_and_of_https_is_understood(part: bytes, other: bytes) -> None:
    """Real clients mix 2006/01 with 2006/08, and write https: where http: is meant (notes 1, 2 and 33)."""
    data = envelope("CancelJobRequest", {"job_id": 1})
    scan = WSCN.encode()
    mended = data.replace(
        part + scan[5:], part.replace(b"http:", b"https:") + scan[5:].replace(b"2006/08/wdp/scan", other)
    )
    assert mended != data
    assert ask(over_http(mended)).name == "CancelJobResponse"


@pytest.mark.parametrize("place", ["reply_to", "fault_to"])
def test_answers_go_back_on_the_same_connection_only(place: str) -> None:
    code, subcode, reason = refused(xml(**{place: EndpointReference("http://192.0.2.1/elsewhere")}))
    assert (code, subcode) == ("Sender", "InvalidMessageInformationHeader")
    assert "anonymous" in reason
    assert ask(xml(**{place: anonymous()})).name == "CancelJobResponse"


@pytest.mark.parametrize(
    "action",
    ["urn:nobody", f"{WSCN}/CreateScanJob", f"{WSCN}/CancelJobResponse", action_of("Get", "WS-Transfer")],
)
def test_an_action_that_is_not_offered_is_named_in_the_detail(action: str) -> None:
    message = ask(xml(action=action))
    assert message.fault is not None
    assert (message.fault.code, message.fault.subcode) == ("Sender", "ActionNotSupported")
    assert message.fault.detail is not None
    assert [(one.tag, one.text) for one in message.fault.detail] == [(f"{{{WSA04}}}Action", action)]


@pytest.mark.parametrize(
    ("data", "old", "new", "path"),
    [
        ({"job_id": 1}, b"<wscn:JobId>1</wscn:JobId>", b"", "JobId"),
        ({"job_id": 1}, b">1<", b">one<", "JobId"),
        (
            {"job_id": 1},
            b"<wscn:JobId>1</wscn:JobId>",
            b"<wscn:JobId>1</wscn:JobId><wscn:JobId>2</wscn:JobId>",
            "JobId",
        ),
    ],
)
def test_a_body_that_breaks_its_content_model(data: Any, old: bytes, new: bytes, path: str) -> None:
    broken = envelope("CancelJobRequest", data)
    assert old in broken
    code, subcode, reason = refused(over_http(broken.replace(old, new)))
    assert (code, subcode) == ("Sender", "InvalidArgs")
    assert path in reason


def test_the_element_is_named_in_the_detail() -> None:
    message = ask(over_http(envelope("CancelJobRequest", {"job_id": 1}).replace(b">1<", b">one<")))
    assert message.fault is not None
    assert message.fault.detail is not None
    assert [(one.tag, one.text) for one in message.fault.detail] == [(f"{{{WSCN}}}Argument", "CancelJobRequest/JobId")]


def test_an_empty_body() -> None:
    async def ends(call: Call) -> Reply:
        return Reply(call.body and None)

    rig = Rig()
    rig.host.point("/scan").offer("WS-Scan", {"CancelJob": ends})
    data = over_http(envelope("CancelJobRequest", None))
    code, subcode, _ = refused(data, rig)
    assert (code, subcode) == ("Sender", "InvalidArgs")


@pytest.mark.parametrize("version", ["2004/08", "2005/08"])
def test_the_version_of_addressing_is_that_of_the_request(version: str) -> None:
    space = {"2004/08": WSA04, "2005/08": WSA10}[version]
    for data in (xml(addressing=version, reply_to=anonymous(version)), xml(addressing=version, action="urn:x")):
        message = ask(data)
        assert message.envelope is not None
        assert message.envelope.addressing.version == version
        assert plain_answers(message)[1:] == ("urn:uuid:asked", anonymous(version))
        assert space.encode() in message.envelope.xml


def test_faults_relate_to_the_request() -> None:
    assert plain_answers(ask(xml(action="urn:x")))[1:] == ("urn:uuid:asked", ANONYMOUS)
    assert plain_answers(ask(xml(action="urn:x", message_id=None)))[1] == ""


def test_a_fault_of_our_own_is_one_for_the_peer_too() -> None:
    async def broken(call: Call) -> Reply:
        raise ZeroDivisionError("division by zero")

    async def story() -> None:
        async with Rig() as rig:
            rig.host.point("/scan").offer("WS-Scan", {"CancelJob": broken})
            answer = await rig.soap(CANCEL)
            assert answer.fault is not None
            assert (answer.fault.code, answer.fault.subcode) == ("Receiver", "ServerErrorInternalError")
            assert "warning: CancelJobRequest: internal error: ZeroDivisionError: division by zero" in rig.said

    run(story())


def test_an_operation_that_does_not_answer() -> None:
    async def silent(call: Call) -> Reply:
        raise Ignored("so it is")

    async def story() -> None:
        async with Rig() as rig:
            rig.host.point("/scan").offer("WS-Scan", {"CancelJob": silent})
            async with rig.raw() as raw:
                await raw.send(CANCEL)
                assert await raw.rest() == b""
            assert "note: CancelJobRequest is not answered: so it is" in rig.said

    run(story())


def test_a_client_that_breaks_off_gets_nothing_done() -> None:
    async def story() -> None:
        async with Rig() as rig:
            async with rig.raw() as raw:
                await raw.send(CANCEL[:-30])
                raw.writer.write_eof()
                assert await raw.rest() == b""
            await until(lambda: any("broken off" in line for line in rig.said))
            assert rig.calls == []
            assert not any(line.startswith("sent") for line in rig.said)

    run(story())


@pytest.mark.parametrize(
    ("style", "status", "closes"),
    [(Style(), 400, False), (Style(fault_status=200), 200, False), (Style(close=True), 400, True)],
)
def test_the_style_of_a_device(style: Style, status: int, closes: bool) -> None:
    async def story() -> None:
        async with Rig(style=style) as rig, rig.raw() as raw:
            await raw.send(xml(action="urn:x"))
            answer = await raw.answer()
            assert (answer.status, answer.header("Connection")) == (status, "close" if closes else None)
            if closes:
                assert await raw.rest() == b""

    run(story())


def test_boundaries_of_a_certain_device_are_read_all_the_same() -> None:
    rig = Rig(style=Style(bare_boundary=True))
    answer = ask(RETRIEVE, rig)
    assert [one.content.data() for one in answer.attachments] == [PICTURE]


def test_requests_are_logged_with_one_line_each_way() -> None:
    async def story() -> None:
        async with Rig() as rig:
            await rig.soap(CANCEL)
            await rig.soap(xml(action="urn:x"))
            lines = [line for line in rig.said if line.startswith(("received", "sent"))]
            assert [line.split(": ")[0] for line in lines] == ["received", "sent", "received", "sent"]
            assert "CancelJobRequest" in lines[0]
            assert "200 CancelJobResponse" in lines[1]
            assert "400 Fault ActionNotSupported" in lines[3]
            assert [entry.body is not None for entry in rig.log.entries if entry.kind in ("received", "sent")] == [
                True
            ] * 4

    run(story())
