"""Lets random schedules of faults happen to a real collector and a real ClickHouse, and counts what is lost or doubled.

    python -m tests.delivery [--schedules 200] [--seed N] [--memory] [--collector PATH] ...

Schedule number K has the seed N + K and is the same at every run, but for what the machine's speed makes of it. A
finding's log, configuration and journal stay in the findings' folder.
"""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path

from tests.delivery.collectors import ourselves, upstream
from tests.delivery.oracle import Verdict
from tests.delivery.schedule import Schedule
from tests.delivery.world import Ground


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.delivery", description=__doc__.partition("\n")[0])
    parser.add_argument("--schedules", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--memory", action="store_true", help="with queues in memory: this must find losses")
    parser.add_argument("--collector", type=Path, help="another collector's binary that understands the same keys")
    parser.add_argument("--findings", type=Path, default=Path("build/delivery"))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped then, too
    launch = ourselves if options.collector is None else upstream(options.collector)
    total, failed, began = Verdict(), [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="otelingest-delivery-") as name:
        ground = Ground.lay(Path(name))
        there = ", ".join(name for name, has in (("preload", ground.library), ("disks", ground.disks)) if has)
        print(f"seed {options.seed}; what this machine allows: {there or 'nothing'}", flush=True)
        try:
            for seed in range(options.seed, options.seed + options.schedules):
                schedule = Schedule.of(
                    seed, durable=not options.memory, preload=ground.library is not None, disks=ground.disks
                )
                before = time.monotonic()
                try:
                    verdict = schedule.run(ground, launch)
                    word = "ok" if verdict else "WRONG"
                except AssertionError as error:
                    verdict = Verdict(examples=[str(error)])
                    word = "FAILED"
                total += verdict
                print(f"{word} {time.monotonic() - before:.1f} s {schedule}: {verdict}", flush=True)
                folder = ground.folder / f"schedule-{seed}"
                if word != "ok":
                    failed.append(seed)
                    print("\n".join(f"    {example}" for example in verdict.examples), flush=True)
                    shutil.copytree(folder, options.findings / str(seed), dirs_exist_ok=True)
                shutil.rmtree(folder, ignore_errors=True)
        finally:
            ground.engine.stop()
    minutes = (time.monotonic() - began) / 60
    starts = ground.engine.starts
    print(f"schedules {options.schedules}: {total} ({minutes:.1f} minutes, ClickHouse started {starts} times)")
    if failed:
        print(f"wrong: {' '.join(map(str, failed))}; again with --schedules 1 --seed N")
    return 1 if failed or not total.acknowledged else 0


if __name__ == "__main__":
    sys.exit(main())
