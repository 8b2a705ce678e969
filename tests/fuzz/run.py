"""``make fuzz``: damage the samples in seeded ways for so many seconds, and report whatever raises or hangs.

What is found is kept in ``.fuzz/``; ``python -m tests.fuzz.run --again FILE`` runs one of those again.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from pathlib import Path

from tests.fuzz.drive import drive, within
from tests.fuzz.mutate import mutate

ROOT = Path(__file__).parent.parent.parent
KEPT = ROOT / ".fuzz"
LARGEST = 120_000
"""Samples above this size are left out: the damage is the same, and each case takes longer."""
PATIENCE = 20
"""Seconds for one case."""


def samples() -> list[Path]:
    """The samples to be damaged."""
    found = sorted(p for p in (ROOT / "pcaps").rglob("*.pcap*") if p.is_file())
    return [p for p in found if 100 < p.stat().st_size < LARGEST]


def case(data: bytes) -> str | None:
    """Run one case; gives the traceback of what went wrong."""
    try:
        with within(PATIENCE):
            drive(data)
    except Exception:  # every kind of exception is what is looked for
        return traceback.format_exc()
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--again", type=Path)
    arguments = parser.parse_args()
    if arguments.again:
        trace = case(arguments.again.read_bytes())
        print(trace or "nothing went wrong")
        return int(trace is not None)
    files = [(path, path.read_bytes()) for path in samples()]
    end = time.monotonic() + arguments.seconds
    seed, bad = arguments.seed, 0
    while time.monotonic() < end:
        path, data = files[seed % len(files)]
        damaged = mutate(data, seed)
        trace = case(damaged)
        if trace:
            bad += 1
            KEPT.mkdir(exist_ok=True)
            kept = KEPT / f"{path.stem}-{seed}.pcap"
            kept.write_bytes(damaged)
            print(f"{path.name} with seed {seed}, kept as {kept.relative_to(ROOT)}:\n{trace}", flush=True)
        seed += 1
    count = seed - arguments.seed
    print(f"{count} damaged captures in {arguments.seconds} s, {bad} went wrong")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
