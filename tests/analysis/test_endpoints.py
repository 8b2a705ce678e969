from __future__ import annotations

from tests.support.fake_jobs import DsmJob, ScanJob
from tests.support.fakes import CLIENT, CONTROL, DEVICE, SCANNER, SERVER


def by_address(analysis):
    return {host.address: host for host in analysis.endpoints}


def test_roles(play, analysed):
    job = DsmJob(play)
    job.subscribe()
    job.create()
    job.status("Creating")
    play.ask("WS-DSC", "GetActiveJobs", {}, {}, client=CONTROL)
    play.ask("WS-DSD", "GetScannerElements", {}, {}, client=CONTROL, server=DEVICE)
    ScanJob(play).create()
    hosts = by_address(analysed(play.messages))
    assert hosts[DEVICE].roles == ["event sink", "DSM device"]
    assert hosts[DEVICE].serves == {5357: ["events"], 5358: ["WS-DSD"]}
    assert hosts[DEVICE].calls == ["WS-Eventing", "WS-DSP"]
    assert hosts[SERVER].roles == ["scan server"]
    assert hosts[SERVER].serves == {5362: ["WS-Eventing", "WS-DSP", "WS-DSC"]}
    assert hosts[CONTROL].roles == ["control point"]
    assert hosts[SCANNER].roles == ["scanner"]
    assert hosts[CLIENT].roles == ["scan client"]


def test_names_and_addresses(play, analysed):
    types = "wsdp:Device wscn:ScanDeviceType"
    match = {"EndpointReference": {"Address": "urn:uuid:1"}, "Types": types, "XAddrs": "http://a/ http://b/"}
    probe = play.datagram("Probe", {}, source=CLIENT)
    play.datagram("ProbeMatches", {"ProbeMatch": {**match, "MetadataVersion": 4}}, source=SCANNER, to=CLIENT,
                  relates_to=probe.message_id)  # fmt: skip
    metadata = [
        {"ThisModel": {"Manufacturer": "Acme", "ModelName": ["S1", "S1 fr"]}},
        {"ThisDevice": {"FriendlyName": "Acme S1 (lab)", "FirmwareVersion": "1.2", "SerialNumber": 77}},
        {"Relationship": {"Host": {"Types": "wsdp:Device"}, "Hosted": [
            {"EndpointReference": [{"Address": "http://a/scan"}, {"Address": "http://[::1]/scan"}],
             "Types": "wscn:ScannerServiceType", "ServiceId": "scan"},
        ]}},
    ]  # fmt: skip
    play.ask("WS-Transfer", "Get", None, {"MetadataSection": metadata}, client=CLIENT, server=SCANNER)
    hosts = by_address(analysed(play.messages))
    scanner = hosts[SCANNER]
    assert hosts[CLIENT].roles == ["discovery client"]
    assert scanner.roles == ["discovery host"]
    assert (scanner.name, scanner.manufacturer, scanner.model) == ("Acme S1 (lab)", "Acme", "S1")
    assert (scanner.firmware, scanner.serial, scanner.metadata_version) == ("1.2", "77", 4)
    assert (scanner.identifiers, scanner.types) == (["urn:uuid:1"], types.split())
    assert scanner.xaddrs == ["http://a/", "http://b/"]
    (hosted,) = scanner.hosted
    assert (hosted.addresses, hosted.types, hosted.service_id) == (
        ["http://a/scan", "http://[::1]/scan"], ["wscn:ScannerServiceType"], "scan",
    )  # fmt: skip
    assert scanner.serves == {5357: ["WS-Transfer"]}
    assert scanner.to_json()["hosted"][0]["types"] == ["wscn:ScannerServiceType"]
    assert "239.255.255.250" not in hosts
