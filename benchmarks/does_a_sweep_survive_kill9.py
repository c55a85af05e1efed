"""Is anything lost or measured twice when a sweep is killed at random moments and resumed?

``scaleprof profile`` of a small model is started with a store of its own, ended by SIGKILL at a
random moment, and started again, so many times; then it runs to its end. After every kill the store
must be intact and hold every block that it held before. In the end no variant may have been
measured again after a block of it was there.

Usage: ``does_a_sweep_survive_kill9.py [KILLS]``, 50 by default, some ten seconds each.
"""

import contextlib
import os
import random
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

KILLS = 50
LONGEST_S = 12.0
COMMAND = (
    "-m scaleprof profile timm:test_convnext --device cpu --strategies d,w,r,dw,wr,dwr "
    "--multipliers 0.5,0.7,1.5,2,3,4,6 --time-limit 600s --store"
).split()


def main() -> None:
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else KILLS
    draw = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "store.sqlite"
        before: list[tuple[int, str, str]] = []
        for i in range(kills):
            run(store, kill_after_s=draw.uniform(0.0, LONGEST_S))
            now = blocks(store)
            assert now[: len(before)] == before, f"kill {i + 1} lost blocks"
            print(f"kill {i + 1}: {len(now)} blocks, {len(now) - len(before)} new", flush=True)
            before = now
        run(store, kill_after_s=None)
        final = blocks(store)
        assert final[: len(before)] == before
        twice = measured_again(final)
    print(f"{kills} kills: {len(final)} blocks, none lost, {twice} measured again")
    assert twice == 0


def run(store: Path, *, kill_after_s: float | None) -> None:
    """Start the sweep, and kill it and its workers after a while; None to let it end."""
    process = subprocess.Popen(
        [sys.executable, *COMMAND, str(store)],
        # a file with settings of models, in the folder it runs in, would be a part of them
        cwd=store.parent,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=kill_after_s)
    if process.poll() is None:
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        # its worker ends by itself when it sees that nobody waits for it
        time.sleep(0.3)


def blocks(store: Path) -> list[tuple[int, str, str]]:
    """Identifier, variant and status of every block, the store being whole."""
    if not store.exists():
        return []
    with contextlib.closing(sqlite3.connect(store)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        tables = connection.execute("SELECT name FROM sqlite_master").fetchall()
        if ("blocks",) not in tables:
            return []
        return connection.execute("SELECT id, variant, status FROM blocks ORDER BY id").fetchall()


def measured_again(found: list[tuple[int, str, str]]) -> int:
    """Blocks of a variant after one that was good; the base is measured again as the sentinel."""
    good: set[str] = set()
    again = 0
    for _, variant, status in found:
        again += variant != "base" and variant in good
        if status == "ok":
            good.add(variant)
    return again


if __name__ == "__main__":
    main()
