# SPDX-License-Identifier: Apache-2.0
"""
Those that play a file of messages take turns on one CPU. Beside Tandem (tandem.Played) that is
dpdk-testpmd, which moves packets and looks at nothing.
"""
import os
import re
import select
import subprocess

import machine

TURN_SECONDS = 0.5
SILENCE_SECONDS = 30
SPARE_BUFFERS = 16384      # besides those that the file lies in


class Testpmd:
    """dpdk-testpmd; between its turns it forwards nothing, and sleeps."""

    def __init__(self, pcap, messages, huge, laps=None):
        memory = ["--in-memory"] if huge else ["--no-huge", "--no-shconf"]
        argv = ["stdbuf", "-oL", "dpdk-testpmd", *memory, "-m", "512", "--no-pci",
                "--no-telemetry", "--log-level", "error", "--file-prefix", "perf-testpmd",
                "-l", f"{machine.service_cpu()},{machine.measured_cpu()}",
                "--vdev", f"net_pcap0,rx_pcap={pcap},infinite_rx=1", "--vdev", "net_null0,no-rx=1",
                "--", "-i", "--forward-mode=io", f"--total-num-mbufs={messages + SPARE_BUFFERS}"]
        cpus = f"{machine.service_cpu()},{machine.measured_cpu()}"
        self.child = machine.start_pinned(argv, cpus, laps and laps.environment(),
                                          stderr=subprocess.STDOUT)
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

    def turn(self, sleep, mode="io"):
        """Nanoseconds of CPU a message, in one of its forward modes."""
        self.say(f"set fwd {mode}")
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


def take_turns(rounds, sides, seconds=TURN_SECONDS):
    """[[ns a message by round] of each side]; who begins changes from round to round."""
    times = [[] for _ in sides]
    for number in range(rounds):
        order = range(len(sides)) if number % 2 == 0 else reversed(range(len(sides)))
        for at in order:
            times[at].append(sides[at].turn(machine.sleep_of(seconds)))
    return times
