# SPDX-License-Identifier: Apache-2.0
"""
Twenty thousand phones that are connected by TLS and say nothing: what each takes of control's
memory, beside what OpenSSL takes in a server that does nothing else. Where a process may not have so
many open files, a second node takes those for which the first one has none.
"""
import re
import resource
import signal
import sys
import time
import unittest

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import SystemTest, main                              # noqa: E402

PHONES = 20000
SOURCES = 20                             # of a node: each has as many as one may without configuration
CROWDS = 2                               # processes that play them
FLOOR = 5000                             # of the bare server
OTHERS = 512                             # control keeps 256 descriptors from connections, and has others
BOUND_BYTES = 24 * 1000                  # issue 6
PATIENCE = 240                           # on a busy machine


def resident(pid):
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


def granted(wanted):
    """How many connections a process may have: as many as wanted, or what the machine grants."""
    need = wanted + OTHERS
    soft, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most < need:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, need))    # whoever we start has it, too
        except ValueError:               # in a container
            return most - OTHERS
    return wanted


class Mass(SystemTest):

    options = {"streams": ("tls",), "ipv6": False, "backends": 1}

    @classmethod
    def setUpClass(cls):
        """One node if it may have them all, else two."""
        first = granted(PHONES) // SOURCES * SOURCES
        cls.shares = [share for share in (first, PHONES - first) if share]
        if max(cls.shares) > first:
            raise unittest.SkipTest(f"two processes may not have {PHONES} open files")
        cls.options = {**cls.options, "nodes": len(cls.shares)}
        super().setUpClass()

    def crowd(self, host, *argv):
        process = self.lab.popen(host, self.lab.build / "tests/system/crowd", *argv)
        self.addCleanup(process.stop)
        return process

    def fill(self, server, target, phones, host="caller"):
        """That many of a host's at a server: (who plays them, bytes of its memory for each)."""
        before, begun = resident(server), time.monotonic()
        each, share = phones // SOURCES, SOURCES // CROWDS
        crowds = [self.crowd(host, "connect", target, 5061, each,
                             *self.sources[host][number * share:(number + 1) * share])
                  for number in range(CROWDS)]
        held = sum(int(crowd.wait_line(r"^held (\d+)", PATIENCE)[1]) for crowd in crowds)
        self.assertEqual(held, phones)
        took, each_bytes = time.monotonic() - begun, (resident(server) - before) / held
        self.say(f"{held} connections in {took:.0f} s ({held / took:.0f} handshakes/s): "
                 f"{each_bytes / 1000:.1f} kB each")
        return crowds, each_bytes

    def floor(self):
        """What one takes in a server that has OpenSSL and nothing else."""
        there = self.lab.host("callee").address
        bare = self.crowd("callee", "serve", there, 5061, *self.lab.certificate)
        bare.wait_line("^serving", 5)
        crowds, each_bytes = self.fill(bare.pid, there, FLOOR)
        for process in (bare, *crowds):
            process.stop()
        return each_bytes

    def place_sources(self, hosts):
        """Each host has its own, and is led to its node."""
        self.sources = {}
        for number, (host, node) in enumerate(hosts.items()):
            begin = 100 + number * SOURCES
            self.sources[host] = [f"192.0.2.{last}" for last in range(begin, begin + SOURCES)]
            for source in self.sources[host]:
                self.lab.net.address(host, f"{source}/24")
            if len(hosts) > 1:
                self.lab.lead(host, node)

    def test_idle(self):
        """20,000 idle TLS connections: none is refused or cut, each takes at most 24 kB."""
        lab = self.lab
        hosts = dict(zip(("caller", "callee"), lab.nodes))
        self.place_sources(hosts)
        floor, crowds, ours = self.floor(), [], []
        for (host, node), share in zip(hosts.items(), self.shares):
            more, each_bytes = self.fill(node.control.pid, lab.vip, share, host)
            crowds += more
            ours.append(each_bytes)
            self.say(f"memory of each of {share} idle TLS connections: {each_bytes / 1000:.1f} kB in "
                     f"control of {node.name}, {floor / 1000:.1f} kB in a bare OpenSSL server "
                     f"({each_bytes / floor:.2f} times)")
        self.assertEqual([laws.streams(node)["connections"] for node in lab.nodes], self.shares)
        for crowd in crowds:
            crowd.signal(signal.SIGUSR1)
        answered = sum(int(crowd.wait_line(r"^answered (\d+)", PATIENCE)[1]) for crowd in crowds)
        self.say(f"{answered} connections at once, all answered; {self.shares} by node")
        self.assertEqual(answered, PHONES)
        # A few would bear what a process takes once.
        self.assertLessEqual(ours[0], BOUND_BYTES)


if __name__ == "__main__":
    main()
