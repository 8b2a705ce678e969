"""What is taken for a value, where it is found, and what is left alone."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from dissector.messages import Message
from replay.scenario.correlate import find_values
from replay.scenario.explain import explain, explain_json, steps_of
from replay.scenario.values import KINDS, Place, Value
from tests.support.stories import STORIES
from tests.support.talk import CLIENT, DEVICE, PARTIES, Talk, decoded, party, read, where

DSM, SERVER = "192.0.2.10", "192.0.2.20"
GUID = "4f9d2c1e-7a3b-4c5d-8e6f-0a1b2c3d4e5f"


def found(messages: Sequence[Message]) -> dict[str, Value]:
    """The values by name, message ids left out."""
    return {one.name: one for one in find_values(messages, party) if one.kind != "message_id"}


# -- whole captures -------------------------------------------------------------------------------------------------


def test_a_whole_job_has_exactly_these_values(samples: Path) -> None:
    messages = read(samples / "dsm-completed.pcapng")
    service = "/ScanServer/cd613e30-d8f1-4adf-91b7-584a2265b1f5"
    server = "http://192.0.2.20:5362"
    sink = "/sink/1e2feb89-414c-443c-9027-c4d1c386bbc4"
    told = {name: (one.recorded, one.kind, one.maker, len(one.uses)) for name, one in found(messages).items()}
    assert told == {
        "device_uuid": ("e4b06ce6-0741-47a8-bce4-2c8218072e8c", "uuid", "server", 2),
        "device_address": (f"{server}/ScanServer", "address", "server", 0),
        "device_path": ("/ScanServer", "address", "server", 1),
        "device_host": ("192.0.2.20:5362", "address", "server", 1),
        "service_address": (server + service, "address", "server", 6),
        "service_path": (service, "address", "server", 6),
        "service_host": ("192.0.2.20:5362", "address", "server", 6),
        "sink_identifier": ("urn:uuid:78e51061-7311-48a3-82ce-6f447ed4d57b", "identifier", "device", 5),
        "sink_address": (f"http://192.0.2.10:5357{sink}", "address", "device", 5),
        "sink_path": (sink, "address", "device", 4),
        "sink_host": ("192.0.2.10:5357", "address", "device", 4),
        "subscription": ("urn:uuid:05b6e6e3-07d4-4edc-9143-1193e6c3f339", "identifier", "server", 0),
        "manager_address": (server + service, "address", "server", 0),
        "user_identifier": ("S-1-5-21-1004336348-1177238915-682003330-512", "parameter", "", 0),
        "psp_identifier": ("1D7EA36B-1F05-4FE9-8E37-5E2F5A4E5A61", "parameter", "", 1),
        "document_root_name": ("Invoice", "parameter", "", 0),
        "share_unc": (r"\\files.example.com\scans", "parameter", "", 0),
        "email_address": ("archive@example.com", "parameter", "", 0),
        "job_token": ("afbd67f9-6196-49cf-a198-8ad9f06c144a", "token", "server", 8),
        "job_originating_user_name": ("anna@example.com", "parameter", "", 0),
    }
    assert all(one.sure and one.why.endswith(".") for one in found(messages).values())


def test_message_ids_are_all_found_with_their_answers(samples: Path) -> None:
    messages = read(samples / "dsm-completed.pcapng")
    ids = [one for one in find_values(messages, party) if one.kind == "message_id"]
    assert [one.recorded for one in ids] == [one.message_id for one in messages if one.message_id]
    assert [one.name for one in ids[:3]] == ["message_id", "message_id_2", "message_id_3"]
    for one in ids:
        assert one.born is not None
        asked = messages[one.born.message]
        assert one.maker == PARTIES[asked.source.address]
        answers = [index for index, other in enumerate(messages) if other.relates_to == one.recorded]
        assert where(one) == [(index, "header", "RelatesTo") for index in answers]
    assert sum(len(one.uses) for one in ids) == 8


def test_two_jobs_keep_their_tokens_apart_though_an_event_overtakes_the_answer(samples: Path) -> None:
    messages = read(samples / "dsm-two-jobs.pcapng")
    values = found(messages)
    for name in ("job_token", "job_token_2"):
        value = values[name]
        assert value.born is not None
        assert messages[value.born.message].name == "CreatePostScanJobResponse"
        assert value.uses[0].message < value.born.message
        assert messages[value.uses[0].message].name == "PostScanJobStatusEvent"
        carried = [
            index for index, one in enumerate(messages) if one.envelope and value.recorded.encode() in one.envelope.xml
        ]
        assert sorted(place.message for place in value.places) == carried
    assert values["sink_address"].recorded != values["sink_address_2"].recorded
    # The second service was not handed out: only its subscription manager was, which is another thing.
    assert values["service_path_2"].born is None
    assert values["service_path_2"].maker == ""
    assert messages[14].name == "CreatePostScanJobRequest"
    assert (14, "target", "") in where(values["service_path_2"])


def test_a_push_scan_binds_destination_and_scan_identifier(samples: Path) -> None:
    messages = read(samples / "scan-push.pcapng")
    values = found(messages)
    assert {
        (name, one.recorded, one.kind, one.maker)
        for name, one in values.items()
        if one.maker == "device" and one.kind != "uuid" and one.born
    } == {
        ("subscription", "urn:uuid:c9d4d020-3c6e-4096-870d-6796814d31e8", "identifier", "device"),
        ("manager_address", "http://192.0.2.10:5357/wsd/scan/subscriptions", "address", "device"),
        ("destination_token", "6b0404f2-b094-40b8-ab01-a1c12a3a2107", "token", "device"),
        ("scan_identifier", "eeca8c28-5efc-4a76-839d-74ed00d0722d", "identifier", "device"),
        ("job_id", "5", "identifier", "device"),
        ("job_token", "token-5", "token", "device"),
    }
    assert where(values["destination_token"]) == [(4, "body", "DestinationToken")]
    assert where(values["scan_identifier"]) == [(4, "body", "ScanIdentifier")]
    assert where(values["job_id"]) == [(6, "body", "JobId"), (8, "body", "JobEndState/JobId")]
    assert values["sink_address"].maker == values["sink_identifier"].maker == "client"


def test_the_context_of_a_client_is_given_back(samples: Path) -> None:
    values = found(read(samples / "scan-push.pcapng"))
    context = values["client_context"]
    assert (context.recorded, context.maker) == ("Scan", "client")
    assert [message for message, _, _ in where(context)] == [1, 2]


def test_job_ids_are_found_by_their_element_only(samples: Path) -> None:
    messages = read(samples / "scan-pull-events.pcapng")
    values = found(messages)
    assert [values[name].recorded for name in ("job_id", "job_id_2")] == ["17", "18"]
    for value in (values["job_id"], values["job_id_2"]):
        assert {place.path.rpartition("/")[2] for place in value.places} == {"JobId"}
        used = [place.message for place in value.places]
        told = [
            i for i, one in enumerate(messages) if one.envelope and f">{value.recorded}<".encode() in one.envelope.xml
        ]
        assert used == told


def test_equal_texts_of_another_meaning_are_other_values(samples: Path) -> None:
    """Two subscriptions got the same destination tokens; the scan was announced to the first."""
    messages = read(samples / "others" / "airscand-push.pcap")
    values = found(messages)
    same = [one for one in values.values() if one.recorded == "dtok-0"]
    assert [one.born.message for one in same if one.born] == [6, 8]
    assert where(same[0]) == [(15, "body", "DestinationToken")]
    assert where(same[1]) == []
    assert where(values["sink_identifier"])[-1] == (9, "header", "Identifier")
    # What nobody calls needs no name: the device lists 45 services, and the client calls a configured path.
    assert values["service_path"].recorded == "/WDP/SCAN"
    assert values["service_path"].maker == ""
    assert not [name for name in values if name.startswith("service_address")]


def test_a_capture_that_begins_late_says_what_is_missing(samples: Path) -> None:
    values = found(read(samples / "damaged" / "dsm-began-late.pcap"))
    token, sink = values["job_token"], values["sink_identifier"]
    assert token.born is None
    assert token.maker == "server"
    assert "not in the capture" in token.why
    assert sink.born is None
    assert sink.maker == "device"
    assert "not in the capture" in sink.why
    assert values["sink_path"].maker == "device"
    assert "not in the capture" in values["sink_path"].why


@pytest.mark.parametrize(
    ("capture", "names"),
    [
        ("device-completed.pcap", {"manager_path", "manager_host", "control_base"}),
        ("device-polls.pcap", {"job_token", "control_base"}),
        ("device-mail-failed.pcap", {"job_token", "email_address"}),
        ("device-misbehaves.pcap", {"job_token", "job_originating_user_name"}),
        ("device-parked.pcap", {"job_token", "subscription"}),
        ("device-https.pcapng", {"device_uuid", "device_address"}),
        ("airscan-platen.pcap", {"job_id", "job_token", "service_address", "device_path"}),
        ("airscan-duplex.pcap", {"job_id", "job_token", "service_address", "device_path"}),
    ],
)
def test_emulated_peers(samples: Path, capture: str, names: set[str]) -> None:
    messages = read(samples / "emulated" / capture)
    values = found(messages)
    assert names <= values.keys()
    for one in values.values():
        assert one.kind in KINDS
        assert one.maker in {"", *PARTIES.values()}
        assert one.kind != "vendor"
        assert one.sure
        assert len(set(one.places)) == len(one.places)
    # Every message that is sent names its peer only by values.
    for index, message in enumerate(messages):
        if message.http is not None and message.http.is_request:
            held = [(p.where, p.path) for one in values.values() for p in one.places if p.message == index]
            assert ("target", "") in held
            assert ("http", "Host") in held
            assert ("header", "To") in held


def test_a_subscription_is_renewed_and_ended_at_its_manager(samples: Path) -> None:
    messages = read(samples / "emulated" / "device-completed.pcap")
    values = found(messages)
    ends = [index for index, one in enumerate(messages) if one.name == "Unsubscribe"]
    assert ends
    for index in ends:
        assert (index, "header", "Identifier") in where(values["subscription"])
        assert (index, "header", "To") in where(values["manager_address"])
        assert (index, "target", "") in where(values["manager_path"])
        assert (index, "http", "Host") in where(values["manager_host"])


# -- what the protocols name ----------------------------------------------------------------------------------------


def test_a_control_point_learns_a_token_from_an_answer() -> None:
    messages = decoded(STORIES["dsc-management"]())
    values = found([one for one in messages if "192.0.2.30" in str(one.stream)])
    token = values["job_token"]
    assert token.maker == "server"
    assert token.born is not None
    assert "not in the capture" in token.why
    assert [one.message for one in token.uses] == [5, 6]
    assert values["psp_identifier"].maker == ""


def test_three_parties_are_told_apart() -> None:
    """A console and a device talk to the same server, and each gets its own events."""
    values = found(decoded(STORIES["dsc-management"]()))
    control = {name for name, one in values.items() if one.maker == "control"}
    assert control == {"sink_identifier_2", "sink_address_2", "sink_path_2", "sink_host_2"}
    assert values["sink_address_2"].recorded == "http://192.0.2.30:5357/console"
    assert values["sink_address"].maker == "device"


def test_any_reference_parameter_comes_back_as_a_header_block() -> None:
    talk = Talk()
    sink, lease = f"http://{CLIENT}:5358/events", '<v:Lease xmlns:v="urn:example:vendor">7</v:Lease>'
    talk.subscribe(sink, f"urn:uuid:{GUID}", f"{talk.url}/subs", f"x</wse:Identifier>{lease}<wse:Identifier>y")
    talk.ask("CancelJob", "<wscn:JobId>4</wscn:JobId>", "", headers="<v:Lease>7</v:Lease><v:Other>7</v:Other>")
    values = found(talk.messages())
    assert values["lease"].maker == "device"
    assert values["lease"].kind == "identifier"
    assert where(values["lease"]) == [(2, "header", "Lease")]


def test_a_token_that_is_handed_out_again_is_a_second_value() -> None:
    talk = Talk()
    for _ in range(2):
        talk.ask("CreateScanJob", "", "<wscn:JobId>1</wscn:JobId><wscn:JobToken>t1</wscn:JobToken>")
        talk.ask("RetrieveImage", "<wscn:JobId>1</wscn:JobId><wscn:JobToken>t1</wscn:JobToken>", "")
    values = found(talk.messages())
    assert [where(values[name]) for name in ("job_id", "job_id_2")] == [[(2, "body", "JobId")], [(6, "body", "JobId")]]
    assert [where(values[name])[0][0] for name in ("job_token", "job_token_2")] == [2, 6]


def test_short_tokens_of_two_devices_are_kept_apart() -> None:
    one = Talk(1)
    two = Talk(2, device="192.0.2.11", story=one.story)
    for talk in (one, two):
        talk.ask("CreateScanJob", "", "<wscn:JobId>1</wscn:JobId><wscn:JobToken>t1</wscn:JobToken>")
    one.ask("CancelJob", "<wscn:JobId>1</wscn:JobId>", "")
    values = found(one.messages())
    assert where(values["job_id"]) == [(4, "body", "JobId")]
    assert where(values["job_id_2"]) == []


def test_manager_address_of_the_same_url_is_not_the_services() -> None:
    talk = Talk()
    sink, manager = f"http://{CLIENT}:5358/events", talk.url
    talk.subscribe(sink, f"urn:uuid:{GUID}", manager, "urn:uuid:" + GUID.replace("4", "5"))
    talk.ask("CancelJob", "<wscn:JobId>4</wscn:JobId>", "")
    talk.manage("Renew", manager, "urn:uuid:" + GUID.replace("4", "5"))
    values = found(talk.messages())
    assert [message for message, _, _ in where(values["manager_address"])] == [4]
    assert [message for message, _, _ in where(values["manager_path"])] == [4]
    assert [message for message, _, _ in where(values["service_path"])] == [0, 0, 2, 2]
    assert where(values["subscription"]) == [(4, "header", "Identifier")]


def test_an_event_goes_to_the_sink_and_repeats_its_identifier() -> None:
    talk = Talk()
    sink = f"http://{CLIENT}:5358/events"
    talk.subscribe(sink, f"urn:uuid:{GUID}", f"{talk.url}/subs", "urn:uuid:0")
    talk.tell("JobStatusEvent", "<wscn:JobStatus><wscn:JobId>3</wscn:JobId></wscn:JobStatus>", sink, f"urn:uuid:{GUID}")
    values = found(talk.messages())
    assert (2, "header", "Identifier") in where(values["sink_identifier"])
    assert (2, "header", "To") in where(values["sink_address"])
    assert where(values["sink_path"]) == [(2, "target", "")]
    assert where(values["sink_host"]) == [(2, "http", "Host")]
    assert values["job_id"].maker == "device"
    assert "not in the capture" in values["job_id"].why


@pytest.mark.parametrize(
    ("element", "name", "text"),
    [
        ("UserIdentifier", "user_identifier", "S-1-5-21-7"),
        ("PSP_Identifier", "psp_identifier", "not-a-guid"),
        ("ShareUNC", "share_unc", r"\\a\b"),
        ("DocumentRootName", "document_root_name", "Bill"),
        ("EmailAddress", "email_address", "a@example.com"),
        ("SaveToSharePointSiteURL", "save_to_share_point_site_url", "http://sp.example.com/docs"),
        ("JobOriginatingUserName", "job_originating_user_name", "anna"),
        ("ScanRepository", "scan_repository", "scan01.example.com"),
    ],
)
def test_site_values_are_parameters(element: str, name: str, text: str) -> None:
    talk = Talk()
    talk.ask("Other", f"<wscn:{element}>{text}</wscn:{element}>", f"<wscn:{element}>{text}</wscn:{element}>")
    values = found(talk.messages())
    value = values[name]
    assert (value.recorded, value.kind, value.maker) == (text, "parameter", "")
    assert where(value) == [(1, "body", element)]


def test_an_authorization_header_is_a_parameter_that_is_not_shown() -> None:
    talk = Talk()
    talk.ask("CancelJob", "<wscn:JobId>4</wscn:JobId>", "", http="Authorization: Basic c2VjcmV0OnBhc3M=\r\n")
    messages = talk.messages()
    value = found(messages)["authorization"]
    assert (value.recorded, value.maker) == ("Basic c2VjcmV0OnBhc3M=", "")
    assert value.born == Place(0, "http", "Authorization")
    assert "c2VjcmV0" not in "\n".join(explain([value], messages)) + str(explain_json([value], messages))


def test_device_identities_stand_in_many_forms() -> None:
    talk = Talk()
    text = f"<wscn:Id>{{{GUID.upper()}}}</wscn:Id><wscn:Ref>uri:{GUID}/scanner</wscn:Ref>"
    talk.ask("Other", "", text, headers="", to=f"urn:uuid:{GUID}")
    values = found(talk.messages())
    value = values["device_uuid"]
    assert value.maker == "device"
    assert value.born is None
    assert value.recorded == GUID
    assert where(value) == [(0, "header", "To"), (1, "body", "Id"), (1, "body", "Ref")]
    assert not any(place.whole for place in value.uses)


def test_identities_of_two_parties_are_told_apart(samples: Path) -> None:
    values = found(read(samples / "others" / "airscand-push.pcap"))
    client = next(one for one in values.values() if one.recorded == "4a51ad8b-67c8-40a4-a2ae-d78af8e2d168")
    assert (client.name, client.maker) == ("device_uuid_2", "client")
    assert "From/Address" in where(client)[0][2]
    assert values["device_uuid"].maker == "device"
    assert values["container_id"].kind == "uuid"
    assert values["device_address_2"].recorded == "http://10.77.0.1:5357/wsd"


def test_a_peers_address_in_another_text_is_a_part_of_it() -> None:
    talk = Talk()
    talk.ask("Other", "", f"<v:Page>see http://{DEVICE}:5357/web, not http://{DEVICE}:53570/</v:Page>")
    values = found(talk.messages())
    assert (1, "body", "Page") in where(values["device_base"])
    assert values["device_base"].uses[-1].whole is False


# -- what no specification names ------------------------------------------------------------------------------------


def test_a_cookie_that_is_sent_back() -> None:
    talk = Talk()
    talk.ask("Other", "", "", answer_http="Set-Cookie: sid=abc; Path=/\r\nSet-Cookie: theme=dark\r\n")
    talk.ask("Other", "", "", http="Cookie: lang=en; sid=abc\r\n")
    values = found(talk.messages())
    sid = values["cookie_sid"]
    assert (sid.kind, sid.maker, sid.recorded, sid.sure) == ("cookie", "device", "abc", True)
    assert sid.born == Place(1, "http", "Set-Cookie/sid")
    assert sid.uses == [Place(2, "http", "Cookie/sid")]
    assert "cookie_theme" not in values, "it is not sent back"
    lang = values["cookie_lang"]
    assert lang.born is None
    assert lang.maker == ""
    assert not lang.sure


@pytest.mark.parametrize(
    ("text", "sure"),
    [
        (GUID, True),
        (f"urn:uuid:{GUID}", True),
        ("9f86d081884c7d659a2feaa0c55ad015", True),
        ("dGhpcyBpcyBhIHRva2Vu", True),
        ("A7fK2q", False),
        ("9f86d081", False),
        ("Zm9vYmE=", False),
    ],
)
def test_a_vendors_token_is_what_an_answer_hands_out_and_a_request_repeats(text: str, sure: bool) -> None:
    talk = Talk()
    talk.ask("Other", "", f'<v:Session key="x">{text}</v:Session>')
    talk.ask("Other", f"<v:Ticket>{text}</v:Ticket>", "")
    value = found(talk.messages())["session"]
    assert (value.recorded, value.kind, value.maker, value.sure) == (text, "vendor", "device", sure)
    assert value.born == Place(1, "body", "Session")
    assert value.uses == [Place(2, "body", "Ticket")]


def test_a_vendors_token_in_an_attribute_an_event_or_an_http_header() -> None:
    talk = Talk()
    sink = f"http://{CLIENT}:5358/events"
    talk.ask("Other", "", f'<v:Session key="{GUID}"/>', answer_http="X-Ticket: 9f86d081884c7d659a2feaa0\r\n")
    talk.tell("VendorEvent", "<wscn:Nonce>q8Zr4Tk1Wb</wscn:Nonce>", sink)
    talk.ask(
        "Other", f'<v:Open with="{GUID}"/><v:Nonce>q8Zr4Tk1Wb</v:Nonce>', "",
        http="X-Ticket: 9f86d081884c7d659a2feaa0\r\n",
    )  # fmt: skip
    values = {one.name: one for one in found(talk.messages()).values() if one.kind == "vendor"}
    assert {name: one.born for name, one in values.items()} == {
        "x_ticket": Place(1, "http", "X-Ticket"),
        "key": Place(1, "body", "Session/@key"),
        "nonce": Place(2, "body", "Nonce"),
    }
    assert values["key"].uses == [Place(4, "body", "Open/@with")]
    assert values["x_ticket"].uses == [Place(4, "http", "X-Ticket")]


@pytest.mark.parametrize(
    "text",
    [
        "Grayscale8", "tiff-single-jpeg-tn2", "PostScanJobCompletedSuccessfully", "IMAGE000.JPG", "Living Room", "true",
        "2026-11-23T14:45:42Z", "PT3600S", "2480", "128000", "A7fK", "2S0_2000.001.828", "10.77.0.2:5358", "1.2.3-4",
    ],
)  # fmt: skip
def test_what_is_no_token(text: str) -> None:
    talk = Talk()
    talk.ask("Other", "", f"<v:Session>{text}</v:Session>")
    talk.ask("Other", f"<v:Session>{text}</v:Session>", "")
    assert not [one for one in found(talk.messages()).values() if one.kind == "vendor"]


def test_a_token_that_the_client_made_or_nobody_repeats_is_none() -> None:
    talk = Talk()
    other = GUID.replace("4", "5")
    talk.ask("Other", f"<v:Mine>{GUID}</v:Mine>", f"<v:Mine>{GUID}</v:Mine><v:Lost>{other}</v:Lost>")
    talk.ask("Other", f"<v:Mine>{GUID}</v:Mine><v:Twice>9f86d081884c7d65</v:Twice>", "")
    talk.ask("Other", "<v:Twice>9f86d081884c7d65</v:Twice>", "")
    assert not [one for one in found(talk.messages()).values() if one.kind == "vendor"]


def test_enumerated_values_of_the_catalogue_are_no_tokens() -> None:
    talk = Talk()
    state = "<wscn:ScannerStatus><wscn:ScannerState>Acme:x9K2p7Q4</wscn:ScannerState></wscn:ScannerStatus>"
    talk.ask("GetScannerElements", "", state)
    talk.ask("Other", "<wscn:ScannerState>Acme:x9K2p7Q4</wscn:ScannerState>", "")
    assert not [one for one in found(talk.messages()).values() if one.recorded.startswith("Acme")]


def test_a_long_token_is_known_wherever_it_stands() -> None:
    talk = Talk()
    talk.ask("CreateScanJob", "", f"<wscn:JobId>1</wscn:JobId><wscn:JobToken>{GUID}</wscn:JobToken>")
    talk.ask("Other", f"<v:Of>{GUID}</v:Of><v:Link>job:{GUID}</v:Link>", "")
    value = found(talk.messages())["job_token"]
    assert value.uses == [Place(2, "body", "Of"), Place(2, "body", "Link", whole=False)]


# -- explaining -----------------------------------------------------------------------------------------------------


def test_each_value_is_explained(samples: Path) -> None:
    messages = read(samples / "dsm-completed.pcapng")
    values = find_values(messages, party)
    text = "\n".join(explain(values, messages))
    block = text[text.index("job_token = ") :].split("job_originating")[0].splitlines()
    events = "step 6, frame 25; step 11, frame 67; step 12, frame 72"
    assert block == [
        "job_token = afbd67f9-6196-49cf-a198-8ad9f06c144a  (token, made by the server)",
        "    born  CreatePostScanJobResponse (step 5, frame 19): body JobToken",
        f"    used  PostScanJobStatusEvent ({events}): body JobStatus/JobToken",
        "    used  SendImageRequest (step 7, frame 38; step 8, frame 50; step 9, frame 61): body JobToken",
        "    used  EndPostScanJobRequest (step 10, frame 64): body JobToken",
        "    used  PostScanJobEndStateEvent (step 13, frame 78): body PostScanJobEndState/JobToken",
        "    why   JobToken is handed out by CreatePostScanJob and repeated by what belongs to it.",
    ]
    assert all(one.name in text and one.why in text for one in values)
    plain = {one["name"]: one for one in explain_json(values, messages)}
    assert plain["job_token"]["born"] == {
        "step": 5, "message": "CreatePostScanJobResponse", "frame": 19,
        "where": "body", "path": "JobToken", "whole": True,
    }  # fmt: skip
    assert len(plain["job_token"]["uses"]) == 8
    assert len(plain) == len(values)


def test_doubt_and_missing_births_are_said() -> None:
    talk = Talk()
    talk.ask("Other", "", "<v:Session>A7fK2q</v:Session>")
    talk.ask("Other", "<v:Session>A7fK2q</v:Session>", "")
    messages = talk.messages()
    text = explain(find_values(messages, party), messages)
    assert "session = A7fK2q  (vendor, made by the device, doubtful)" in text
    assert any(line.endswith("A second recording would settle it.") for line in text)
    assert "    born  not in the capture" in text
    numbered = explain(find_values(messages, party), messages, steps={0: 40, 1: 40, 2: 41, 3: 41})
    assert any("(step 41, frame" in line for line in numbered)
    assert steps_of(messages) == {0: 1, 1: 1, 2: 2, 3: 2}
