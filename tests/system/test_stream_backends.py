# SPDX-License-Identifier: Apache-2.0
"""
Backends that are reached by TCP: calls of UDP and TLS phones in both directions, requests that
backends begin, and what becomes of calls when one of them is killed.
"""
import sys

sys.dont_write_bytecode = True

from harness import main, seen, wait_for                          # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import hang_up, talk                                   # noqa: E402
from test_stream import StreamTest                                # noqa: E402


class TcpBackends(StreamTest):

    options = {"streams": ("tcp", "tls")}

    @classmethod
    def prepare(cls, lab):
        for entry in lab.pool():
            entry["transport"] = "tcp"
        lab.config["pools"][0]["health"] = {"passive": False}
        add = lab.add_backend

        def add_by_tcp(name, *args, start=True, **more):
            backend = add(name, *args, start=False, **more)
            backend.tcp = True
            if start:
                backend.start()
            return backend
        lab.add_backend = add_by_tcp

    def datagrams(self, captures, call_ids):
        """What passed a backend by UDP for these calls: nothing may."""
        return [packet for capture in captures for packet in capture.packets(protocol=UDP)
                if any(call.encode() in packet.payload for call in call_ids)]

    def test_1_calls(self):
        """UDP and TLS phones call each other, either ends it; all by TCP, each at one backend."""
        calls = []
        captures = [Capture(backend.host.namespace) for backend in self.lab.backends.values()]
        for capture in captures:
            capture.__enter__()
            self.addCleanup(capture.__exit__, None, None, None)
        for first, other in (("UDP", "UDP"), ("UDP", "TLS"), ("TLS", "UDP"), ("TLS", "TLS")):
            with self.subTest(first=first, other=other):
                name = f"{first}{other}".lower()
                ann = self.phone(f"ann{name}", first, "caller")
                bob = self.phone(f"bob{name}", other, "callee")
                for caller, callee, caller_ends in ((ann, bob, True), (bob, ann, False)):
                    call, there = talk(caller, callee)
                    hang_up(*((call, there) if caller_ends else (there, call)))
                    calls.append(call.call_id)
        self.at_one_backend(*calls)
        self.assertEqual(self.datagrams(captures, calls), [])
        self.nothing_left()

    def nothing_left(self):
        """No call is counted as going on, in either plane."""
        def none():
            return all(backend["calls"] == 0
                       for backend in self.lab.ctl("show", "backends", json=True))
        wait_for(none, 40, "no call to be counted any more")

    def test_2_one_connection(self):
        """What a phone asks goes by the connection that is there."""
        ann = self.phone("pooled", "UDP", "caller")
        for _ in range(5):
            ann.register()
        for name, backend in self.lab.backends.items():
            found = self.lab.net.shell(
                name, f"ss -Htn state established src {backend.address} sport = :5060 "
                      f"dst {self.lab.vip}").stdout.strip().splitlines()
            self.assertLessEqual(len(found), 1, found)

    def test_3_killed(self):
        """Calls go to the others while one is dead; it comes back."""
        lab = self.lab
        ann = self.phone("survivor", "UDP", "caller")
        bob = self.phone("witness", "UDP", "callee")
        victim = lab.backends["kam1"]
        victim.kill9()
        state = lambda: {b["name"]: b["state"] for b in  # noqa: E731
                         lab.ctl("show", "backends", json=True)}["kam1"]
        wait_for(lambda: state() == "down", 20, "kam1 to be down")
        for _ in range(6):
            call, there = talk(ann, bob)
            hang_up(call, there)
            self.assertNotIn("kam1", {by for by in seen(lab, lambda c, i=call.call_id: c == i)})
        victim.start()
        wait_for(lambda: state() == "up", 30, "kam1 to be up")


if __name__ == "__main__":
    main()
