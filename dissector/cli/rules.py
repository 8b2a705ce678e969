"""``dsmshark rules``: the rules, from the code that applies them."""

from __future__ import annotations

import argparse
import textwrap
from importlib import import_module
from pkgutil import walk_packages

from dissector.base.errors import ExitCode
from dissector.base.findings import Rule, rules

__all__ = ["all_rules", "run"]

_ROOMS = ("capture", "transport", "http", "soap", "catalog", "messages", "analysis")


def all_rules() -> list[Rule]:
    """All rules of the rooms that read, by identifier. A rule is defined when its module is imported."""
    import_module("dissector.assembly")
    for room in _ROOMS:
        package = import_module(f"dissector.{room}")
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    return [made for _, made in sorted(rules().items())]


def run(args: argparse.Namespace) -> ExitCode:
    """Run the command."""
    found = all_rules()
    if args.json:
        from dissector.output.jsontext import dumps

        data = {
            "schema": "dsmshark.rules/1",
            "rules": [
                {"id": one.id, "severity": one.severity.value, "summary": one.summary, "source": one.source}
                for one in found
            ],
        }
        print(dumps(data, indent=2))
        return ExitCode.OK
    wide = max(len(one.id) for one in found)
    for one in found:
        source = f" ({one.source})" if one.source else ""
        text = textwrap.wrap(f"{one.summary}{source}", 120 - wide - 9) or [""]
        print(f"{one.id:<{wide}}  {one.severity.value:<5}  {text[0]}")
        for line in text[1:]:
            print(" " * (wide + 9) + line)
    return ExitCode.OK
