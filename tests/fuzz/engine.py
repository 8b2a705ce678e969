"""One target under the coverage-guided fuzzer (atheris, which is libFuzzer for Python).

``python -m tests.fuzz.engine TARGET [libFuzzer's options and folders]``. ``tests.fuzz.run`` gives it folders and
bounds; alone it is for looking into one input: ``python -m tests.fuzz.engine pcap FILE``.
"""

from __future__ import annotations

import os
import sys

import atheris


def main() -> None:
    name, *options = sys.argv[1:]
    # Compilation is what is instrumented, so everything under test has to be imported inside.
    with atheris.instrument_imports(include=["dissector", "replay"]):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.oracles import bounded

    target = TARGETS[name]

    def one_input(data: bytes) -> None:
        bounded(lambda: target.run(bytes(data)), growth=target.memory)

    # To merge, libFuzzer runs itself again by this name.
    itself = os.environ.get("FUZZ_ITSELF", sys.argv[0])
    atheris.Setup([itself, f"-max_len={target.longest}", *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
