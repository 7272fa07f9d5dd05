# SPDX-License-Identifier: Apache-2.0
"""
What does the whole of a worker add to moving a packet? Tandem in mode proxy plays a file of SIP
messages (net_pcap, infinite_rx) against net_null, and so does dpdk-testpmd in its io mode, which
looks at nothing; they take turns on the same CPU.
"""
import os
import re
import select
import time

import machine
import tandem
from rows import at_most

MESSAGES = 65536
TURN_SECONDS = 0.5
SILENCE_SECONDS = 30
TARGET, LEAST = at_most(60), at_most(140)
HUGE_MIB = 2048


class Testpmd:
    """dpdk-testpmd; between its turns it forwards nothing, and sleeps."""

    def __init__(self, pcap, huge):
        memory = ["--in-memory"] if huge else ["--no-huge", "--no-shconf"]
        argv = ["stdbuf", "-oL", "dpdk-testpmd", *memory, "-m", "512", "--no-pci",
                "--no-telemetry", "--log-level", "error", "--file-prefix", "perf-testpmd",
                "-l", f"{machine.service_cpu()},{machine.measured_cpu()}",
                "--vdev", f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "--vdev", "net_null0,no-rx=1",
                "--", "-i", "--forward-mode=io", f"--total-num-mbufs={MESSAGES * 5 // 4}"]
        cpus = f"{machine.service_cpu()},{machine.measured_cpu()}"
        self.child = machine.start_pinned(argv, cpus)
        self.until("testpmd> ")

    def until(self, words):
        """What it prints until these words; they must come soon."""
        text = ""
        while words not in text:
            ready, _, _ = select.select([self.child.stdout], [], [], SILENCE_SECONDS)
            new = os.read(self.child.stdout.fileno(), 65536).decode() if ready else ""
            machine.need(new, f"dpdk-testpmd ended, or says nothing: {text[-500:]}")
            text += new
        return text

    def say(self, words):
        self.child.stdin.write(words + "\n")
        self.child.stdin.flush()

    def turn(self, sleep):
        """Nanoseconds of CPU a message."""
        began = machine.cpu_seconds(self.child.pid)
        self.say("start")
        sleep()
        self.say("stop")
        text = self.until("\nDone.\n")
        ended = machine.cpu_seconds(self.child.pid)
        totals = text.rsplit("Accumulated forward statistics for all ports", 1)[-1]
        received, sent = (int(re.search(rf"{way}-packets: (\d+)", totals)[1])
                          for way in ("RX", "TX"))
        machine.need(received > 1000 and received == sent,
                     f"dpdk-testpmd received {received} and sent {sent}")
        return (ended - began) * 1e9 / sent

    def close(self):
        self.say("quit")
        self.child.wait(20)


def take_turns(bench, sides):
    """[[ns a message by round] of each side]."""
    times = [[] for _ in sides]

    def sleep():
        time.sleep(TURN_SECONDS)
    for number in range(bench.rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for at in order:
            times[at].append(sides[at].turn(sleep))
    return times


def run(bench):
    pcap = bench.dir / "mix.pcap"
    with machine.hugepages(HUGE_MIB) as free:    # 1,280 and 512 MiB, and a call table
        huge = free >= HUGE_MIB
        bench.say(f"{free} MiB of huge pages{'' if huge else ' are too few: both do without'}")
        lab = tandem.Played(bench, pcap, hugepages="on" if huge else "off")
        made = lab.make_messages(MESSAGES)
        bench.say(made.describe())
        with lab:
            testpmd = Testpmd(pcap, huge)
            try:
                ours, io = take_turns(bench, [lab, testpmd])
            finally:
                testpmd.close()
    added = [own - other for own, other in zip(ours, io)]
    case = f"proxy, {made.count:,} messages of {made.mean_bytes:.0f} bytes"
    bench.rows(case, ours, "ns/message", against="testpmd io", others=io)
    for target in (TARGET, LEAST):
        bench.rows("added to io" + (", the least" if target is LEAST else ""), added, "ns/message",
                   against="testpmd io", others=io, target=target, judged="value")
