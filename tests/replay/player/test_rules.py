"""Rules: the paths that they are about, and what holds without one."""

from __future__ import annotations

import pytest

from dissector.base.errors import UsageError
from dissector.catalog import ELEMENTS, TYPES
from replay.player.kinds import kind
from replay.player.rules import BY_TYPE, DEFAULTS, HANDED_OUT, Rules, ValueRule, default_rows

PATH = "JobElements/ElementData[2]/JobStatus/JobState"


@pytest.mark.parametrize(
    ("rule", "path", "fits"),
    [
        ("JobState", PATH, True), ("JobStatus/JobState", PATH, True), ("*/JobState", PATH, True),
        ("State", PATH, False),
        ("Job*", PATH, True), ("*State", PATH, True), ("Job", PATH, False), ("JobStatus", PATH, False),
        ("JobStatus/**", PATH, True), ("JobStatus/**", "JobElements/ElementData[2]/JobStatus", True),
        ("**/JobState", PATH, True), ("JobElements/**/JobState", PATH, True),
        ("JobElements/**/JobState", "JobState", False),
        ("JobElements/*/JobState", PATH, False), ("JobElements/*/*/JobState", PATH, True), ("**", PATH, True),
        ("ElementData/JobStatus/JobState", PATH, True), ("ElementData[2]/JobStatus/JobState", PATH, True),
        ("ElementData[1]/JobStatus/JobState", PATH, False), ("ElementData[1]/@Valid", "ElementData/@Valid", True),
        ("/JobElements/**", PATH, True), ("/ElementData/**", PATH, False), ("/JobState", "JobState", True),
        ("Answer/JobElements/**", PATH, True), ("/Answer/JobElements/**", PATH, True),
        ("Other/JobElements/**", PATH, False),
        ("@Valid", "ElementData[2]/@Valid", True), ("ElementData/@*", "ElementData[2]/@Valid", True),
        ("ElementData/*", "ElementData/@Valid", False),
        ("Header/To", "Header/To", True), ("jobstate", PATH, False), ("Job.tate", PATH, False),
    ],
)  # fmt: skip
def test_paths(rule: str, path: str, fits: bool) -> None:
    assert ValueRule(rule, "any").fits(path, "Answer") is fits


@pytest.mark.parametrize(
    ("path", "how", "text"),
    [
        ("JobState", "maybe", "JobState: 'maybe' is no way to judge a value; there is equal, ignore"),
        ("", "any", "'' is no element path"), ("a//b", "any", "'' is no name"), ("a b", "any", "'a b' is no name"),
        ("a[0]", "any", r"'a\[0\]' is no name"), ("a[x]", "any", "is no name"), ("a/(b", "any", "is no name"),
        ("attachments", "any",
         "attachments: 'any' is no rule for attachments; there is type, size, exact, pixels, ignore"),
        ("attachments[2]", "number", "is no rule for attachments"),
    ],
)  # fmt: skip
def test_wrong_rules(path: str, how: str, text: str) -> None:
    with pytest.raises(UsageError, match=text):
        ValueRule(path, how)


def test_the_first_rule_that_fits_holds() -> None:
    rules = Rules([ValueRule("JobState", "any"), ValueRule("**", "ignore"), ValueRule("JobState", "uuid")])
    found = rules.find("Answer", PATH)
    assert found is not None
    assert found.how == "any"
    assert rules.find("Answer", "Other") == kind("ignore")
    assert Rules([ValueRule("Other", "any")]).find("Answer", PATH) is None


def test_attachments() -> None:
    rules = Rules(
        [ValueRule("attachments[2]", "exact"), ValueRule("attachments", "pixels"), ValueRule("JobState", "any")]
    )
    assert [rules.attachment(number, "type") for number in (0, 1, 2)] == ["pixels", "pixels", "exact"]
    assert Rules([ValueRule("attachments[2]", "exact")]).attachment(1, "type") == "type"
    assert rules.find("Answer", "attachments") is None


def test_the_defaults_are_read_off_the_catalogue() -> None:
    names = {one.name for one in ELEMENTS.values()} | set(ELEMENTS)
    attributes = {one.name for element in ELEMENTS.values() for one in element.attributes}
    for name, default in DEFAULTS.items():
        kind(default.how)
        assert default.reason
        if name.startswith("@"):
            # Attributes of SOAP, XML Schema and WS-Addressing stand on any element.
            assert name[1:] in attributes | {"schemaLocation", "mustUnderstand", "IsReferenceParameter"}, name
        else:
            assert name.partition("/")[0] in names | {"From", "Security"}, name
    assert set(BY_TYPE) == {one.base for one in TYPES.values()}
    assert {"JobToken", "wse:Identifier"} <= HANDED_OUT


def test_the_table_of_defaults_has_a_reason_in_each_row() -> None:
    rows = list(default_rows())
    assert [row[0] for row in rows[-2:]] == ["type dateTime", "everything else"]
    assert all(name and how and why for name, how, why in rows)
    assert len({name for name, _, _ in rows}) == len(rows)
