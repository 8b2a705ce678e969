"""What is fuzzed: one target for each parser, and for the whole pipeline; the table :data:`TARGETS`.

A target takes bytes, and raises whatever goes wrong: an exception of the code under test, or
:class:`~tests.fuzz.oracles.Broken`. The same functions run under the fuzzer, on the kept inputs in the tests, and on
the mutations.
"""

from tests.fuzz.targets.captures import CAPTURES
from tests.fuzz.targets.documents import DOCUMENTS
from tests.fuzz.targets.encrypted import ENCRYPTED
from tests.fuzz.targets.http import HTTP
from tests.fuzz.targets.judging import JUDGING
from tests.fuzz.targets.packets import PACKETS
from tests.fuzz.targets.pipeline import PIPELINE
from tests.fuzz.targets.replays import REPLAYS
from tests.fuzz.targets.target import Target

__all__ = ["TARGETS", "Target"]

TARGETS: dict[str, Target] = {
    target.name: target
    for target in (*CAPTURES, *PACKETS, *ENCRYPTED, *HTTP, *DOCUMENTS, *PIPELINE, *REPLAYS, *JUDGING)
}
"""All targets by name."""
