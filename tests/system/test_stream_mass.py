# SPDX-License-Identifier: Apache-2.0
"""
Twenty thousand phones that are connected by TLS and say nothing: what each takes of control's
memory, beside what OpenSSL takes in a server that does nothing else.
"""
import re
import resource
import signal
import sys
import time

sys.dont_write_bytecode = True

from harness import SystemTest, main                              # noqa: E402

PHONES = 20000
SOURCES = 20                             # each has as many as one may have without configuration
CROWDS = 2                               # processes that play them
FLOOR = 5000                             # of the bare server
OTHERS = 512                             # control keeps 256 descriptors from connections, and has others
BOUND_BYTES = 24 * 1000                  # issue 6
PATIENCE = 240                           # on a busy machine


def resident(pid):
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid}/status", encoding="ascii") as status:
        return int(re.search(r"VmRSS:\s+(\d+) kB", status.read())[1]) * 1024


def allowed(pid, wanted):
    """How many connections a process may have: as many as wanted, or what the machine grants."""
    need = wanted + OTHERS
    with open(f"/proc/{pid}/limits", encoding="ascii") as limits:
        most = int(re.search(r"Max open files\s+\d+\s+(\d+)", limits.read())[1])
    if most >= need:
        return wanted
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (need, need))
        return wanted
    except PermissionError:              # in a container
        return most - OTHERS


class Mass(SystemTest):

    options = {"streams": ("tls",), "ipv6": False, "backends": 1}

    def crowd(self, host, *argv):
        process = self.lab.popen(host, self.lab.build / "tests/system/crowd", *argv)
        self.addCleanup(process.stop)
        return process

    def fill(self, server, target, phones):
        """That many at a server: (the processes that play them, bytes of its memory for each)."""
        before, begun = resident(server), time.monotonic()
        each, share = phones // SOURCES, SOURCES // CROWDS
        crowds = [self.crowd("caller", "connect", target, 5061, each,
                             *self.sources[number * share:(number + 1) * share])
                  for number in range(CROWDS)]
        held = sum(int(crowd.wait_line(r"^held (\d+)", PATIENCE)[1]) for crowd in crowds)
        self.assertEqual(held, each * SOURCES)
        took, each_bytes = time.monotonic() - begun, (resident(server) - before) / held
        self.say(f"{held} connections in {took:.0f} s ({held / took:.0f} handshakes/s): "
                 f"{each_bytes / 1000:.1f} kB each")
        return crowds, each_bytes

    def test_idle(self):
        """20,000 idle TLS connections: none is refused or cut, each takes at most 24 kB."""
        lab = self.lab
        self.sources = [f"192.0.2.{100 + number}" for number in range(SOURCES)]
        for source in self.sources:
            lab.net.address("caller", f"{source}/24")
        bare = self.crowd("callee", "serve", lab.host("callee").address, 5061, *lab.certificate)
        bare.wait_line("^serving", 5)
        others, floor = self.fill(bare.pid, lab.host("callee").address, FLOOR)
        bare.stop()
        for crowd in others:
            crowd.stop()

        phones = allowed(lab.control.pid, PHONES) // SOURCES * SOURCES
        if phones < PHONES:
            self.say(f"{phones} instead of {PHONES}: no process may have more open files here")
        crowds, ours = self.fill(lab.control.pid, lab.vip, phones)
        self.say(f"memory of an idle TLS connection: {ours / 1000:.1f} kB in control, "
                 f"{floor / 1000:.1f} kB in a bare OpenSSL server ({ours / floor:.2f} times)")
        for crowd in crowds:
            crowd.signal(signal.SIGUSR1)
        answered = sum(int(crowd.wait_line(r"^answered (\d+)", PATIENCE)[1]) for crowd in crowds)
        self.assertEqual(answered, phones)
        self.assertLessEqual(ours, BOUND_BYTES)


if __name__ == "__main__":
    main()
