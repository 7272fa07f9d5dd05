# SPDX-License-Identifier: Apache-2.0
"""
What does the whole of a worker add to moving a packet? Tandem in mode proxy plays a file of SIP
messages (net_pcap, infinite_rx) against net_null, and so does dpdk-testpmd in its io mode, which
looks at nothing; they take turns on the same CPU. So does testpmd's csum mode, for scale: it reads
the frame's headers, makes both checksums anew, and looks at nothing else.
"""
import machine
import tandem
from turns import TURN_SECONDS, Testpmd, take_turns
from rows import at_most

MESSAGES = 65536
TARGET, LEAST = at_most(60), at_most(140)
HUGE_MIB = 2048
STAGES = ["receive", "classify", "parse", "route", "rewrite", "transmit"]


class Checksums:
    """testpmd in its csum mode, as a side of its own."""

    def __init__(self, testpmd):
        self.testpmd = testpmd

    def turn(self, sleep):
        return self.testpmd.turn(sleep, "csum")


def report(bench, made, ours, io, csum):
    added = [own - other for own, other in zip(ours, io)]
    case = f"proxy, {made.count:,} messages of {made.mean_bytes:.0f} bytes"
    bench.rows(case, ours, "ns/message", against="testpmd io", others=io)
    for target in (TARGET, LEAST):
        bench.rows("added to io" + (", the least" if target is LEAST else ""), added, "ns/message",
                   against="testpmd io", others=io, target=target, judged="value")
    bench.rows("testpmd csum adds to io", [one - other for one, other in zip(csum, io)], "ns/message",
               against="testpmd io", others=io)


def report_stages(bench, lab):
    """What each stage takes, by the time stamp counter: what the sum above is made of."""
    lab.count_stages(True)
    cycles = {stage: [] for stage in STAGES}
    for _ in range(bench.rounds):
        lab.turn(machine.sleep_of(TURN_SECONDS))
        for stage in STAGES:
            cycles[stage].append(lab.last[f"stage_cycles_{stage}"] / lab.last["stage_messages"])
    for stage in STAGES:
        bench.rows(f"stage: {stage}", cycles[stage], "cycles/message")


def run(bench):
    pcap = bench.dir / "mix.pcap"
    with machine.hugepages(HUGE_MIB) as free:    # 1,280 and 512 MiB, and a call table
        huge = free >= HUGE_MIB
        bench.say(f"{free} MiB of huge pages{'' if huge else ' are too few: both do without'}")
        lab = tandem.Played(bench, pcap, hugepages="on" if huge else "off")
        made = lab.make_messages(MESSAGES)
        bench.say(made.describe())
        with lab:
            testpmd = Testpmd(pcap, MESSAGES, huge)
            try:
                ours, io, csum = take_turns(bench.rounds, [lab, testpmd, Checksums(testpmd)])
            finally:
                testpmd.close()
            report(bench, made, ours, io, csum)
            report_stages(bench, lab)
