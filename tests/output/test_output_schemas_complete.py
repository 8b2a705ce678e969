"""The JSON Schema files say everything: what every sample gives fits them, and has no key that they do not name."""

from __future__ import annotations

import json

import jsonschema
import pytest

from dissector.cli import main
from dissector.output.jsontext import schema
from tests.support.schemas import closed, every_key_is_required
from tests.support.stories import STORIES
from tests.support.wire import frames_of, write_pcap

OUTPUTS = {
    "dsmshark.jobs/1": ["jobs", "--json"],
    "dsmshark.events/1": ["events", "--json"],
    "dsmshark.messages/1": ["read", "--json"],
    "dsmshark.info/1": ["info", "--json"],
}


@pytest.fixture(scope="module")
def captures(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("stories")
    for name, story in STORIES.items():
        (folder / name).write_bytes(write_pcap(frames_of(story())))
    return {name: str(folder / name) for name in STORIES}


@pytest.mark.parametrize("story", STORIES)
def test_every_sample_fits_the_closed_schemas(story, captures, capsys):
    for name, command in OUTPUTS.items():
        main([*command, captures[story]])
        data = json.loads(capsys.readouterr().out)
        assert name == data["schema"]
        jsonschema.Draft202012Validator(closed(schema(name))).validate(data)


@pytest.mark.parametrize("story", ["dsm-completed", "scan-push"])
def test_a_line_of_ndjson_is_a_message_of_json(story, captures, capsys):
    valid = jsonschema.Draft202012Validator(closed(schema("dsmshark.message/1")))
    main(["read", "--json", captures[story]])
    whole = json.loads(capsys.readouterr().out)["messages"]
    main(["read", "--ndjson", captures[story]])
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert whole == lines
    for line in lines:
        valid.validate(line)


@pytest.mark.parametrize("name", [*OUTPUTS, "dsmshark.message/1", "dsmshark.rules/1"])
def test_keys_are_always_there(name):
    assert every_key_is_required(schema(name))


def test_rules_fit_their_closed_schema(capsys):
    main(["rules", "--json"])
    data = json.loads(capsys.readouterr().out)
    jsonschema.Draft202012Validator(closed(schema("dsmshark.rules/1"))).validate(data)
    assert len({rule["id"] for rule in data["rules"]}) == len(data["rules"]) > 100
