# SPDX-License-Identifier: Apache-2.0
"""How long does it take to build a pool's table, from which workers take a backend by a hash?"""
import machine
import tandem
from lab.base import run as execute
from rows import at_most

BACKENDS = {1000: at_most(10), 10000: None}


def build(bench, backends, rounds):
    """{word: values} of perf-table."""
    directory = bench.dir / str(backends)
    directory.mkdir()
    config = tandem.write_config(directory, backends=backends)
    done = execute("taskset", "-c", machine.measured_cpu(), bench.build / "perf/perf-table",
                   config, directory / "secret", rounds)
    said = {}
    for line in done.stdout.splitlines():
        word, value = line.split()
        said.setdefault(word, []).append(float(value))
    machine.need(said["backends"] == [backends] and len(said["ms"]) == rounds,
                 f"perf-table built for {said['backends']} backends")
    return said


def run(bench):
    for backends, target in BACKENDS.items():
        said = build(bench, backends, bench.rounds)
        bench.rows(f"{backends:,} backends, {said['entries'][0]:,.0f} entries", said["ms"], "ms",
                   target=target, judged="value")
