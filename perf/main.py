# SPDX-License-Identifier: Apache-2.0
"""The body of perf/run: which benchmarks there are, their table and their JSON."""
import argparse
import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.dont_write_bytecode = True                 # root would write it into the tree
sys.path.insert(0, str(ROOT / "config"))

import machine  # noqa: E402
from lab.base import LabError  # noqa: E402
from rows import Rows  # noqa: E402

# One file for each question, in the order in which they are asked.
BENCHES = ["index", "worker", "table", "memory", "growth", "swap", "attack", "veth", "tls"]


class Bench:
    """
    What a benchmark gets: build (directory), dir (a temporary one of its own), rows (Rows of its
    name), rounds (how often both sides take turns), quick, plots (directory or None).
    """

    def __init__(self, name, options, rows):
        self.name = name
        self.build = options.build
        self.quick = options.quick
        self.plots = options.plots
        self.rounds = 3 if options.quick else 15
        self.rows = rows.of(name)
        self.dir = None

    def say(self, words):
        print(f"   {self.name}: {words}", flush=True)

    def run(self):
        self.dir = Path(tempfile.mkdtemp(prefix=f"tandem-perf-{self.name}-"))
        self.dir.chmod(0o755)
        try:
            importlib.import_module(self.name).run(self)
        except Exception:
            print(f"files of {self.name}: {self.dir}", file=sys.stderr)
            raise
        else:
            shutil.rmtree(self.dir, ignore_errors=True)


def read_options():
    parser = argparse.ArgumentParser(prog="perf/run")
    parser.add_argument("build", type=Path)
    parser.add_argument("benches", nargs="*", metavar="BENCH")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--plots", type=Path)
    parser.add_argument("--quick", action="store_true")
    options = parser.parse_args()
    options.build = options.build.resolve()
    for name in options.benches:
        if name not in BENCHES:
            parser.error(f"no benchmark {name} ({', '.join(BENCHES)})")
    return options


def leave(number, frame):
    raise SystemExit(128 + number)


def main():
    options = read_options()
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, leave)
    rows, failed, started = Rows(), [], time.monotonic()
    print(f"{machine.describe()}; {machine.describe_others()}", flush=True)
    for name in options.benches or BENCHES:
        try:
            Bench(name, options, rows).run()
        except (LabError, OSError, subprocess.SubprocessError) as error:
            print(f"perf/run: {name}: {error}", file=sys.stderr, flush=True)
            failed.append(name)
    print(rows.table())
    print(f"{time.monotonic() - started:.0f} s; {machine.describe_noise()}")
    if options.json:
        temporary = options.json.with_name(options.json.name + f".{os.getpid()}")
        temporary.write_text(json.dumps(rows.plain(), indent=1, ensure_ascii=False) + "\n")
        temporary.rename(options.json)
    if failed:
        print(f"perf/run: not measured: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
