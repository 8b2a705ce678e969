"""What is said of a wrong command line, by both programs: one sentence that leads on.

argparse names what it did not understand. Newcomers make a few mistakes again and again: no command before the file, an
option before the command, a letter too few. For these the sentence says what was meant.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from dissector.base.errors import UsageError

__all__ = ["UsageParser", "with_help"]


def with_help(given: Sequence[str]) -> list[str]:
    """``help COMMAND`` is what others call ``COMMAND --help``."""
    words = list(given)
    return [*words[1:], "--help"] if words[:1] == ["help"] else words


class UsageParser(argparse.ArgumentParser):
    """Wrong arguments are a :class:`~dissector.base.errors.UsageError`, with the place to read more.

    Attributes:
        usual: the command that is named to somebody who gives a file and no command.
    """

    usual = "jobs"

    def error(self, message: str) -> NoReturn:
        """The command line is wrong."""
        raise UsageError(f"{message} (see “{self.prog} --help”)")

    def _print_message(self, message: str, file: Any = None) -> None:
        """Help and version are outputs: argparse says nothing of one that cannot be written."""
        if message:
            (file or sys.stderr).write(message)

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        """End the program, when what was printed is written.

        Raises:
            OSError: it cannot be, such as on a full disk.
        """
        sys.stdout.flush()
        super().exit(status, message)

    def parse_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does; what is left over is told by the command that it was given to.

        Raises:
            UsageError: something is.
        """
        words = list(args or ())
        try:
            found, rest = self.parse_known_args(args, namespace)
        except UsageError as error:
            file = next((one for one in words if one[:1] == "-" and one != "-" and os.path.isfile(one)), "")
            raise UsageError(f"{error}; of the file {file} say ./{file}") if file else error from error
        if rest:
            parser, place = self._meant(words)
            first = rest[0].partition("=")[0]
            early = rest[0] in words and words.index(rest[0]) < place
            if early and first in parser._option_string_actions:
                parser.error(f"{first} stands behind the command: {parser.prog} {first}")
            near = _near(first, parser._option_string_actions) if first[:1] == "-" else ""
            parser.error(f"unrecognized arguments: {' '.join(rest)}{near}")
        return found

    def _meant(self, words: list[str]) -> tuple[argparse.ArgumentParser, int]:
        """The parser of the command that the words name, and the place of the last word of its name."""
        parser: argparse.ArgumentParser = self
        place = -1
        for at, word in enumerate(words):
            below = next((one for one in parser._actions if isinstance(one, argparse._SubParsersAction)), None)
            if below is None:
                break
            if word in below.choices:
                parser, place = below.choices[word], at
        return parser, place

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """Tell what may have been meant by a command that is none."""
        if isinstance(action, argparse._SubParsersAction) and value not in action.choices:
            if os.path.exists(value) and " " not in self.prog:
                self.error(f"a command stands before {value}, such as {self.prog} {self.usual} {value}")
            self.error(
                f"there is no command {value!r}{_near(value, action.choices)}; there are {', '.join(action.choices)}"
            )
        super()._check_value(action, value)


def _near(word: str, known: Iterable[str]) -> str:
    """What may have been meant, "" where nothing is like it. Most runs have no use for this: imported when needed."""
    from difflib import get_close_matches

    found = get_close_matches(word, list(known), 1, 0.7)
    return f"; near: {found[0]}" if found else ""
