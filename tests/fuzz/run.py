"""``make fuzz``: every target under the fuzzer, then the mutations, for so many seconds in all (SECONDS, TARGET).

What is found is kept in ``.fuzz/found``; ``python -m tests.fuzz.run --again FILE`` runs one of those again. When the
defect is mended, the file goes to ``tests/fuzz/regressions/TARGET``. ``--minimise`` merges what the fuzzer learnt into
the kept corpus. ``.fuzz/minutes.json`` adds up the processor's time of each target.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shlex
import subprocess
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path

from tests.fuzz import corpus
from tests.fuzz.mutations import run_for
from tests.fuzz.oracles import bounded
from tests.fuzz.targets import TARGETS, Target

__all__ = ["main"]

ROOT = Path(__file__).parent.parent.parent
PLACE = ROOT / ".fuzz"
FOUND = PLACE / "found"
MEMORY = 4096
"""MiB that the fuzzer may take. It keeps some 300 KB of each input for itself: what one input may take is told by the
oracles, and the process is begun anew after each slice."""
SLICE = 120
"""Seconds of one process."""
PATIENCE = 120
"""Seconds for one input, by the clock on the wall: for what hangs outside of Python. What is too slow is told by the
oracles, in seconds of the processor."""


def _folders(target: Target) -> list[str]:
    """Where the fuzzer keeps what it learns, and where it begins: seeds, kept corpus, regressions."""
    learnt, begin = PLACE / "learnt" / target.name, PLACE / "begin" / target.name
    for folder in (learnt, begin, FOUND):
        folder.mkdir(parents=True, exist_ok=True)
    known = {f"seed-{number}": data for number, data in enumerate(target.seeds())} | corpus.kept(target.name)
    for name, data in known.items():
        (begin / name).write_bytes(data[: target.longest])
    again = corpus.REGRESSIONS / target.name
    return [str(learnt), str(begin), *([str(again)] if again.is_dir() else [])]


def _words(target: Target) -> list[str]:
    if not target.words:
        return []
    path = PLACE / f"{target.name}.dict"
    path.write_text("".join('"' + "".join(f"\\x{byte:02x}" for byte in word) + '"\n' for word in target.words))
    return [f"-dict={path}"]


def _engine(target: Target, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.fuzz.engine", target.name, *options]
    itself = PLACE / f"{target.name}.sh"
    itself.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m tests.fuzz.engine {target.name} "$@"\n')
    itself.chmod(0o755)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False,
        env={**os.environ, "FUZZ_ITSELF": str(itself)},
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    _count(target.name, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return done


def _count(name: str, seconds: float) -> None:
    path = PLACE / "minutes.json"
    minutes = json.loads(path.read_text()) if path.exists() else {}
    minutes[name] = round(minutes.get(name, 0.0) + seconds / 60, 2)
    path.write_text(json.dumps(minutes, indent=1, sort_keys=True))


def fuzz(target: Target, seconds: int) -> bool:
    """Run one target; whether nothing was found."""
    return all(_slice(target, min(SLICE, seconds - done)) for done in range(0, seconds, SLICE))


def _slice(target: Target, seconds: int) -> bool:
    folders = _folders(target)
    done = _engine(
        target, *_words(target), f"-max_total_time={max(seconds, 1)}", f"-rss_limit_mb={MEMORY}",
        f"-timeout={PATIENCE}", f"-artifact_prefix={FOUND / target.name}-", "-print_final_stats=1", *folders,
    )  # fmt: skip
    stats = dict(line[6:].split(":", 1) for line in done.stderr.splitlines() if line.startswith("stat::"))
    runs = stats.get("number_of_executed_units", "?").strip()
    print(
        f"{target.name:<12} {seconds:>5} s  {runs:>9} inputs  {'nothing' if not done.returncode else 'FOUND'}",
        flush=True,
    )
    if done.returncode:
        said = [
            line for line in (done.stdout + done.stderr).splitlines() if not line.startswith(("INFO", "#", "WARNING"))
        ]
        print("\n".join(said)[-5000:], flush=True)
    return not done.returncode


def minimise(target: Target) -> None:
    """Keep the fewest inputs that reach all that is reached."""
    merged = PLACE / "merged" / target.name
    merged.mkdir(parents=True, exist_ok=True)
    for old in merged.iterdir():
        old.unlink()
    done = _engine(target, "-merge=1", f"-timeout={PATIENCE}", "-rss_limit_mb=0", str(merged), *_folders(target))
    kept = [path.read_bytes() for path in merged.iterdir()]
    if done.returncode or not kept:
        print(f"{target.name}: not merged\n{done.stderr[-2000:]}")
        return
    path = corpus.store(target.name, kept)
    few = f"{len(corpus.kept(target.name))} of {len(kept)} inputs that reach it all"
    print(f"{target.name:<12} {few}, kept in {path.stat().st_size} bytes", flush=True)


def again(path: Path) -> int:
    """One input that was found, by the target that its name begins with (or its folder has)."""
    named = [name for name in TARGETS if path.name.startswith(f"{name}-") or path.parent.name == name]
    if not named:
        print(f"{path}: its name begins with no target: {', '.join(TARGETS)}")
        return 2
    data = path.read_bytes()
    try:
        target = TARGETS[max(named, key=len)]
        bounded(lambda: target.run(data), growth=target.memory)
    except Exception:  # every kind of exception is what is looked for
        traceback.print_exc()
        return 1
    print("nothing went wrong")
    return 0


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=300, help="for all targets and the mutations together")
    parser.add_argument("--target", action="append", choices=[*TARGETS, "mutations"], help="only this one")
    parser.add_argument("--again", type=Path, metavar="FILE", help="run an input that was found")
    parser.add_argument("--minimise", action="store_true", help="merge what was learnt into the kept corpus")
    arguments = parser.parse_args(argv)
    if arguments.again:
        return again(arguments.again)
    os.environ.setdefault("PYTHONHASHSEED", "0")
    chosen = arguments.target or [*TARGETS, "mutations"]
    share = max(arguments.seconds // len(chosen), 1)
    fine = True
    for name in chosen:
        if arguments.minimise:
            if name in TARGETS:
                minimise(TARGETS[name])
        elif name in TARGETS:
            fine = fuzz(TARGETS[name], share) and fine
        else:
            fine = run_for(share, FOUND) and fine
    return int(not fine)


if __name__ == "__main__":
    sys.exit(main())
