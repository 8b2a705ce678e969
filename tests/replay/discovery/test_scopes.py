"""Matching rules of WS-Discovery, as tables."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dissector.soap.model import QName
from dissector.soap.namespaces import WSD05, WSD11
from replay.devices.scopes import DEFAULT_SCOPE, RULES, rule_of, scopes_match, supported_rules, types_match

UUID = "4509a320-00a0-008f-00b6-002507510eca"


@pytest.mark.parametrize(
    ("rule", "wanted", "offered", "matches"),
    [
        ("rfc2396", "http://example.com/abc", "http://example.com/abc", True),
        ("rfc2396", "HTTP://EXAMPLE.com/abc", "http://example.com/abc/def", True),
        ("rfc2396", "http://example.com/abc/", "http://example.com/abc", True),
        ("rfc2396", "http://example.com", "http://example.com/abc", True),
        ("rfc2396", "http://example.com/abc", "http://example.com/abcdef", False),
        ("rfc2396", "http://example.com/ABC", "http://example.com/abc", False),
        ("rfc2396", "http://example.com/abc/def", "http://example.com/abc", False),
        ("rfc2396", "http://example.com:80/abc", "http://example.com/abc", False),
        ("rfc2396", "https://example.com/abc", "http://example.com/abc", False),
        ("rfc2396", "http://example.com/a/../abc", "http://example.com/a/../abc", False),
        ("rfc2396", "http://example.com/abc?x=1#y", "http://example.com/abc?x=2", True),
        ("rfc2396", "http://example.com/a%62c", "http://example.com/abc", True),
        ("rfc2396", "http://[", "http://example.com/abc", False),
        ("rfc3986", "urn:example:a", "urn:example:a", True),
        ("rfc3986", "urn:example:a", "urn:example:ab", False),
        ("strcmp0", "http://example.com/abc", "http://example.com/abc", True),
        ("strcmp0", "http://example.com/abc", "http://example.com/abc/", False),
        ("strcmp0", "HTTP://example.com/abc", "http://example.com/abc", False),
        ("uuid", f"urn:uuid:{UUID}", f"uuid:{UUID.upper()}", True),
        ("uuid", UUID, f"urn:uuid:{UUID}", True),
        ("uuid", f"urn:uuid:{UUID[:-1]}b", f"urn:uuid:{UUID}", False),
        ("uuid", "http://example.com", "http://example.com", False),
        ("ldap", "ldap:///ou=engineering,o=example,c=us", "ldap:///ou=engineering,o=example,c=us", True),
        ("ldap", "ldap:///o=example,c=us", "ldap:///ou=Engineering,O=Example,C=US", True),
        ("ldap", "ldap://host:389/c=us", "ldap://HOST/o=example,c=us", True),
        ("ldap", "ldap:///ou=engineering,o=example,c=us", "ldap:///o=example,c=us", False),
        ("ldap", "ldap:///ou=engineering", "ldap:///ou=engineering,o=example,c=us", False),
        ("ldap", "ldap:///ou=a\\,b,c=us", "ldap:///ou=b,c=us", False),
        ("ldap", "ldap://other/c=us", "ldap://host/c=us", False),
        ("ldap", "http://host/c=us", "http://host/c=us", False),
    ],
)
def test_rules(rule: str, wanted: str, offered: str, matches: bool) -> None:
    assert scopes_match([wanted], ["urn:example:none", offered], rule, WSD05) is matches


def test_every_wanted_scope_must_be_there() -> None:
    has = ["http://a/x", "http://b/y"]
    assert scopes_match(["http://b", "http://a/x"], has, "rfc2396", WSD05)
    assert not scopes_match(["http://b", "http://c"], has, "rfc2396", WSD05)
    assert scopes_match([], has, "rfc2396", WSD05)


@pytest.mark.parametrize("namespace", [WSD05, WSD11])
def test_device_without_scopes_has_the_default_one(namespace: str) -> None:
    assert scopes_match([DEFAULT_SCOPE[namespace]], [], "strcmp0", namespace)
    assert not scopes_match([DEFAULT_SCOPE[namespace]], ["http://a/x"], "strcmp0", namespace)
    assert not scopes_match(["http://a/x"], [], "strcmp0", namespace)


def test_rule_none_is_for_devices_without_scopes() -> None:
    assert scopes_match([], [], "none", WSD11)
    assert not scopes_match([], ["http://a/x"], "none", WSD11)


def test_so_many_scopes_are_no_question() -> None:
    assert scopes_match(["urn:a"] * 200, ["urn:a"], "strcmp0", WSD05)
    assert not scopes_match(["urn:a"] * 201, ["urn:a"], "strcmp0", WSD05)


@pytest.mark.parametrize(
    ("match_by", "namespace", "rule"),
    [
        (None, WSD05, "rfc2396"),
        ("", WSD05, "rfc2396"),
        (None, WSD11, "rfc3986"),
        (f" {WSD05}/strcmp0 ", WSD05, "strcmp0"),
        (f"{WSD11}/none", WSD11, "none"),
        (f"{WSD05}/none", WSD05, None),
        (f"{WSD11}/strcmp0", WSD05, None),
        ("urn:vendor", WSD05, None),
    ],
)
def test_names_of_rules(match_by: str | None, namespace: str, rule: str | None) -> None:
    assert rule_of(match_by, namespace) == rule


def test_supported_rules_are_known() -> None:
    for namespace in (WSD05, WSD11):
        assert all(rule_of(one, namespace) for one in supported_rules(namespace))


def test_types_go_by_namespace_and_name() -> None:
    has = (QName("urn:a", "T", "p"), QName("urn:b", "U", "p"))
    assert types_match([QName("urn:a", "T", "q")], has)
    assert types_match([], has)
    assert not types_match([QName("urn:a", "T"), QName("urn:a", "U")], has)
    assert not types_match([QName("", "T")], has)


@given(st.sampled_from(sorted(RULES)), st.text(), st.text())
def test_any_texts_can_be_compared(rule: str, first: str, second: str) -> None:
    assert RULES[rule](first, second) in (True, False)
