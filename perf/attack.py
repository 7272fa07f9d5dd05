# SPDX-License-Identifier: Apache-2.0
"""
What do messages cost that were made to hurt? Each byte of theirs against a byte of a good INVITE; and
good INVITEs when the call table is full of calls that nobody wants.
"""
import machine
import tandem
from lab.base import run as execute
from rows import at_most

FAIR = at_most(20)         # times the share of its bytes


def run(bench):
    config = tandem.write_config(bench.dir)
    done = execute("taskset", "-c", machine.measured_cpu(), bench.build / "perf/perf-attack", config,
                   bench.dir / "secret", bench.rounds, timeout=300)
    sizes, times = {}, {}
    for line in done.stdout.splitlines():
        name, size, nanoseconds = line.split()
        sizes[name] = float(size)
        times.setdefault(name, []).append(float(nanoseconds))
    machine.need(all(len(series) == bench.rounds for series in times.values()) and
                 {"good", "flooded", "good-flooded"} < set(times), "perf-attack left something out")
    bytewise = {name: [time / sizes[name] for time in series] for name, series in times.items()}
    for name, series in bytewise.items():
        if name not in ("good", "good-flooded"):
            case = "Call-IDs nobody had before" if name == "flooded" else name.replace("-", " ")
            bench.rows(f"{case}, {sizes[name]:,.0f} bytes", series, "ns/byte",
                       against=f"INVITE of {sizes['good']:,.0f}", others=bytewise["good"],
                       target=FAIR)
    bench.rows("good INVITEs, the table flooded", times["good-flooded"], "ns/message",
               against="not flooded", others=times["good"])
