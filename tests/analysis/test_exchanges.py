from __future__ import annotations

import pytest

from dissector.analysis import Analysis
from dissector.base.limits import Limits
from tests.support.fakes import CLIENT, DEVICE, SCANNER, SERVER, Play


def rules(findings):
    return [finding.rule for finding in findings]


def test_both_witnesses_agree(play, analysed):
    asked = play.ask("WS-Scan", "GetScannerElements", {}, {}, client=CLIENT, server=SCANNER)
    (exchange,) = analysed(play.messages).exchanges
    assert (exchange.request, exchange.response, exchange.by) == (1, 2, "both")
    assert (exchange.operation, exchange.service) == ("GetScannerElements", "WS-Scan")
    assert exchange.latency == 10**8 - 1_000
    assert (str(exchange.client), str(exchange.server)) == (f"{CLIENT}:50001", f"{SCANNER}:80")
    assert exchange.status == 200
    assert exchange.message_id == asked.message_id
    assert exchange.findings == []


@pytest.mark.parametrize("related", [None, "uuid:00000000000000000000000000000001", "URN:UUID:" + "0" * 31 + "1"])
def test_no_disagreement_where_ids_are_absent_or_spelt_otherwise(play, analysed, related):
    play.answer(play.request("WS-DSP", "EndPostScanJob", {}), {}, relates_to=related)
    (exchange,) = analysed(play.messages).exchanges
    assert exchange.by == ("both" if related else "connection")
    assert exchange.findings == []


def test_connection_wins_and_the_contradiction_is_told(play, analysed):
    first = play.request("WS-DSP", "SendImage", {}, stream=1)
    second = play.request("WS-DSP", "EndPostScanJob", {}, stream=2)
    play.answer(first, {}, relates_to=second.message_id)
    play.answer(second, {}, relates_to=first.message_id)
    one, two = analysed(play.messages).exchanges
    assert (one.response, two.response) == (3, 4)
    assert rules(one.findings) == rules(two.findings) == ["exchange.disagreement"]
    assert one.findings[0].frames == (10, 30)
    assert "message 2" in one.findings[0].text


def test_repeated_message_ids_do_not_confuse(play, analysed):
    same = "uuid:copied-from-a-sample"
    requests = [play.request("WS-DSP", "SendImage", {}, stream=s, message_id=same) for s in (1, 2, 3)]
    for asked in (requests[2], requests[0], requests[1]):
        play.answer(asked, {}, relates_to=same, request=None)
    exchanges = analysed(play.messages).exchanges
    assert [(e.request, e.response, e.by) for e in exchanges] == [
        (1, 5, "relates-to"),
        (2, 6, "relates-to"),
        (3, 4, "relates-to"),
    ]


def test_answer_without_ids_goes_by_order(play, analysed):
    asked = play.request("WS-DSP", "EndPostScanJob", {})
    play.http(asked, 202, linked=False)
    (exchange,) = analysed(play.messages).exchanges
    assert (exchange.response, exchange.by, exchange.status) == (2, "connection", 202)


def test_what_is_missing(play, analysed):
    play.request("WS-DSP", "SendImage", {}, stream=1)
    play.answer(play.messages[0], {}, request=None, relates_to="urn:uuid:elsewhere")
    one, two = analysed(play.messages).exchanges
    assert (one.request, one.response, rules(one.findings)) == (1, None, ["exchange.unanswered"])
    assert (two.request, two.response, rules(two.findings)) == (None, 2, ["exchange.no-request"])
    assert one.findings[0].severity == "warn"


def test_one_direction_only_is_a_note(play, analysed):
    play.request("WS-DSP", "SendImage", {})
    (exchange,) = analysed(play.messages).exchanges
    assert exchange.findings[0].severity == "note"


def test_faults_errors_and_strange_answers(play, analysed):
    play.fault(play.request("WS-DSP", "SendImage", {}), "InvalidArgs")
    play.http(play.request("WS-DSP", "SendImage", {}), 401, "Unauthorized")
    other = play.answer(play.request("WS-DSP", "SendImage", {}), {}, name="EndPostScanJobResponse")
    other.decl = play.request("WS-DSP", "EndPostScanJob", {}, stream=7).decl
    one, two, three, _ = analysed(play.messages).exchanges
    assert (one.fault, one.status) == ("InvalidArgs", 500)
    assert rules(two.findings) == ["exchange.http-error"]
    assert rules(three.findings) == ["exchange.operation"]


def test_second_answer(play, analysed):
    asked = play.ask("WS-DSP", "SendImage", {}, {})
    play.fault(asked, "OperationFailed")
    (exchange,) = analysed(play.messages).exchanges
    assert exchange.response == 2
    assert rules(exchange.findings) == ["exchange.second-answer"]


def test_answer_on_a_connection_of_its_own(play, analysed):
    asked = play.request("WS-DSP", "CreatePostScanJob", {}, reply_to="http://192.0.2.10/replies")
    play.http(asked, 202)
    late = play.answer(asked, {"JobToken": "t"}, status=0, request=None, to="http://192.0.2.10/replies")
    play.http(late, 202)
    analysis = analysed(play.messages)
    (exchange,) = analysis.exchanges
    assert (exchange.request, exchange.response, exchange.by) == (1, 3, "relates-to")
    assert [job.id for job in analysis.jobs] == ["t"]


def test_reply_to(play, analysed):
    anonymous = "http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
    play.answer(play.request("WS-DSP", "SendImage", {}, reply_to=anonymous), {}, to=anonymous)
    play.answer(play.request("WS-DSP", "SendImage", {}, reply_to=anonymous), {}, to="http://elsewhere")
    one, two = analysed(play.messages).exchanges
    assert (rules(one.findings), rules(two.findings)) == ([], ["exchange.reply-to"])


def test_probe_has_many_answers_and_repeats_none(play, analysed):
    probe = play.datagram("Probe", {}, source=CLIENT, port=4000)
    play.datagram("Probe", {}, source=CLIENT, port=4000).repeat_of = probe.number
    for host in (SCANNER, DEVICE):
        play.datagram("ProbeMatches", {}, source=host, to=CLIENT, to_port=4000, relates_to=probe.message_id)
    play.datagram("Hello", {}, source=SERVER)
    play.datagram("Resolve", {}, source=CLIENT)
    found = analysed(play.messages).exchanges
    assert [(e.operation, e.request, e.response, e.server.address) for e in found] == [
        ("Probe", 1, 3, SCANNER),
        ("Probe", 1, 4, DEVICE),
        ("Resolve", 6, None, "239.255.255.250"),
    ]
    assert all(e.findings == [] for e in found)


def test_bounds():
    play = Play()
    for _ in range(10):
        play.request("WS-DSP", "SendImage", {})
    analysis = Analysis(Limits(unpaired=3))
    for message in play.messages:
        analysis.feed(message)
    assert len(analysis._exchanges._waiting) == 3
    analysis.finish()
    assert [len(e.findings) for e in analysis.exchanges] == [1] * 10


def test_other_protocols_are_passed_over(play, analysed):
    play.request("", "Enumerate", {}).wsd = False
    assert analysed(play.messages).exchanges == []
