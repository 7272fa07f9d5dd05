# SPDX-License-Identifier: Apache-2.0
"""
Connections between control and real Kamailios: those that take aliases send their own requests back by
ours (RFC 5923); those that are reached by UDP get by TCP what is too large for a datagram (RFC 3261
§18.1.1), with all that belongs to it, and by UDP when they refuse it.
"""
import sys

sys.dont_write_bytecode = True

from harness import main                                          # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import SDP, hang_up, talk                              # noqa: E402
from test_stream import StreamTest                                # noqa: E402

LARGE, HUGE = 5000, 100000


def sdp(length):
    """A body of about that many bytes."""
    line = b"a=x-fill:" + b"x" * 60 + b"\r\n"
    return SDP + line * ((length - len(SDP)) // len(line))


class ByTcp(StreamTest):

    options = {"streams": ("tcp", "tls")}
    settings = ""

    @classmethod
    def prepare(cls, lab):
        add = lab.add_backend

        def add_by_tcp(name, *args, start=True, **more):
            backend = add(name, *args, start=False, **more)
            backend.tcp, backend.settings = True, cls.settings
            if start:
                backend.start()
            return backend
        lab.add_backend = add_by_tcp

    def between(self, outgoing):
        """Connections between control and the backends, that control or that they made."""
        peers = {backend.address for backend in self.lab.backends.values()}
        return [entry for entry in self.lab.ctl("show", "connections", json=True)["connections"]
                if entry["peer"].rpartition(":")[0] in peers and entry["outgoing"] == outgoing]

    def counter(self, name):
        return self.lab.ctl("show", "connections", json=True)["counters"][name]


class Reuse(ByTcp):

    settings = "tcp_accept_aliases=yes"

    @classmethod
    def prepare(cls, lab):
        super().prepare(lab)
        for entry in lab.pool():
            entry["transport"] = "tcp"

    def test_1_backward(self):
        """What Kamailio asks (INVITE to the callee, BYE to the caller) comes by our connection."""
        ann, bob = self.phone("ann", "TLS", "caller"), self.phone("bob", "TCP")
        for caller, callee in ((ann, bob), (bob, ann)):
            for caller_ends in (True, False):
                call, there = talk(caller, callee)
                hang_up(*((call, there) if caller_ends else (there, call)))
        self.assertTrue(self.between(outgoing=True))
        self.assertEqual(self.between(outgoing=False), [])


class LargeRequests(ByTcp):

    settings = "tcp_rd_buf_size=262144"

    @classmethod
    def prepare(cls, lab):
        super().prepare(lab)
        lab.config["pools"][0]["large_requests"] = "tcp"

    def setUp(self):
        super().setUp()
        self.captures = [Capture(backend.host.namespace) for backend in self.lab.backends.values()]
        for capture in self.captures:
            capture.__enter__()
            self.addCleanup(capture.__exit__, None, None, None)

    def by_udp(self, method, call):
        """How many requests of a call came to a backend by UDP from control."""
        return sum(packet.payload.startswith(method.encode()) and call.call_id.encode()
                   in packet.payload and packet.source == self.lab.config["node_address"]
                   for capture in self.captures
                   for packet in capture.packets(protocol=UDP, outgoing=False))

    def cancelled(self, caller, callee):
        """A large INVITE that rings and is cancelled; its Dialog."""
        call = caller.invite(callee.aor, body=sdp(LARGE))
        asked = callee.wait("INVITE", call)
        callee.reply(asked, 180, "Ringing", "ringing")
        caller.wait(180, call)
        caller.send(caller.cancel(call))
        callee.serve("CANCEL", call)
        callee.reply(asked, 487, "Request Terminated", "ringing")
        answer = caller.wait(487, call)
        caller.send(caller.ack_failure(call, answer))
        return call

    def test_1_call(self):
        """5 kB from TCP and TLS phones: by TCP, and the dialog goes on by UDP from either side."""
        bob = self.phone("bob", "TCP")
        for transport in ("TCP", "TLS"):
            ann = self.phone(f"ann{transport}", transport, "caller")
            for caller_ends in (True, False):
                call, there = talk(ann, bob, body=sdp(LARGE))
                hang_up(*((call, there) if caller_ends else (there, call)))
                self.assertEqual(self.by_udp("INVITE", call), 0)
                self.assertEqual(self.by_udp("ACK", call), 1)
                self.at_one_backend(call.call_id)
        self.assertTrue(self.between(outgoing=True))

    def test_2_cancel(self):
        """CANCEL and the ACK to 487 are of the INVITE's transaction at the backend."""
        ann, bob = self.phone("eva", "TLS", "caller"), self.phone("max", "TCP")
        call = self.cancelled(ann, bob)
        for method in ("INVITE", "CANCEL", "ACK"):
            self.assertEqual(self.by_udp(method, call), 0)

    def test_3_huge(self):
        """100 kB, which no datagram carries: Kamailio has it, and answers."""
        ann = self.phone("huge", "TCP", "caller")
        call = ann.invite(f"sip:nobody@{self.lab.domain}", body=sdp(HUGE))
        ann.send(ann.ack_failure(call, ann.wait(404, call)))

    def test_4_refused(self):
        """Backends that take no TCP get it by UDP."""
        before = self.counter("retried")
        for backend in self.lab.backends.values():
            backend.kill9()
            backend.tcp, backend.settings = False, ""
            backend.start()
        ann, bob = self.phone("ida", "TCP", "caller"), self.phone("leo", "TCP")
        call, there = talk(ann, bob, body=sdp(LARGE))
        hang_up(call, there)
        self.cancelled(ann, bob)
        self.assertGreaterEqual(self.counter("retried"), before + 2)


if __name__ == "__main__":
    main()
