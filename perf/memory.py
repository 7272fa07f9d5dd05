# SPDX-License-Identifier: Apache-2.0
"""How much memory does a backend take, a call in the table, a worker?"""
import machine
import table
import tandem
from lab import Lab
from rows import at_most

FEW, MANY = 1000, 3000     # backends
SMALL, LARGE = 1 << 20, 1 << 23    # tables of calls are powers of two
CALL_TARGET = at_most(20)
KIB = 1024


class Idle(Lab):
    """Tandem alone in a namespace, with nothing to do, and so many workers."""

    def __init__(self, bench, workers, calls):
        super().__init__(driver="null", backends=0, build=bench.build, config_text="")
        self.config = tandem.configuration(self.dir, call_table=calls, hugepages="off",
                                           workers=[machine.measured_cpu()] * workers)

    def _default_config(self):
        return None

    def _wire(self):
        self.net.add("appliance")


def dataplane_bytes(bench, workers=1, calls=SMALL):
    """What the data plane has in memory, its share of what it shares included."""
    with Idle(bench, workers, calls) as lab:
        lines = open(f"/proc/{lab.dataplane.pid}/smaps_rollup", encoding="ascii").readlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("Rss:")) * KIB


def run(bench):
    few, many = (table.build(bench, backends, 1)["snapshot"][0] for backends in (FEW, MANY))
    bench.rows("a backend, in a snapshot", (many - few) / (MANY - FEW), "bytes")
    one, more = (dataplane_bytes(bench, calls=calls) for calls in (SMALL, LARGE))
    bench.rows("a call, in the table", (more - one) / (LARGE - SMALL), "bytes", target=CALL_TARGET,
               judged="value")
    two = dataplane_bytes(bench, workers=2)
    bench.rows("a worker, besides the buffers of `memory`", (two - one) / 2**20, "MiB")
    bench.rows("the data plane, one worker, defaults", one / 2**20, "MiB")
