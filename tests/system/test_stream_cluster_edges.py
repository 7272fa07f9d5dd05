# SPDX-License-Identifier: Apache-2.0
"""
Two nodes whose backends are reached by TLS: phones by WebSocket, plain and secure, call those of the
other node and UDP phones, while each backend's route to the virtual address leads to another node, so
that all it asks of one side's phones is relayed.
"""
import sys

sys.dont_write_bytecode = True

import test_stream_backends as backends    # noqa: E402 (by a name here its tests would be ours, too)
from harness import LabError, main, seen, wait_for               # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import hang_up, talk                                   # noqa: E402
from test_stream import STREAM_PORT                               # noqa: E402
from test_stream_cluster import ClusterTest                       # noqa: E402


class Edges(ClusterTest):
    """The caller and kam1 are led to node a, the callee and kam2 to node b."""

    options = {**ClusterTest.options, "streams": ("tls", "ws", "wss")}

    @classmethod
    def prepare(cls, lab):
        backends.TlsBackends.secure(lab)
        backends.Backends.prepare.__func__(cls, lab)
        for node in lab.nodes:
            node.config["pools"] = lab.config["pools"]

    @classmethod
    def equip(cls, lab, backend):
        backends.TlsBackends.equip(lab, backend)

    def setUp(self):
        super().setUp()
        self.lead(kam2=self.b)
        self.wires = [self.capture(self.lab.namespace(self.a.appliance), "tandem1"),
                      *(self.capture(backend.host.namespace)
                        for backend in self.lab.backends.values())]

    def capture(self, *where):
        capture = Capture(*where)
        capture.__enter__()
        self.addCleanup(capture.__exit__, None, None, None)
        return capture

    def relayed_to(self, node, call_id):
        """Methods of the requests of a call that came to a node from the other one, as they came."""
        other = self.b if node is self.a else self.a
        return [packet.payload.split()[0].decode() for packet in self.wires[0].packets(
                    protocol=UDP, source=other.inside, destination=node.inside,
                    source_port=STREAM_PORT, destination_port=STREAM_PORT)
                if call_id.encode() in packet.payload and not packet.payload.startswith(b"SIP/2.0 ")]

    def call(self, caller, callee, caller_ends):
        """A call that both ends modify, and where it was: (Call-ID, backend)."""
        call, there = talk(caller, callee)
        self.modified(call, there)
        self.modified(there, call)
        hang_up(*((call, there) if caller_ends else (there, call)))
        backend, = seen(self.lab, lambda call_id: call_id == call.call_id)[call.call_id]
        return call.call_id, backend

    def by_tls_alone(self, call_ids):
        """Nobody saw anything of these calls on the backends' wires."""
        for call_id in call_ids:
            self.assertFalse([packet for capture in self.wires[1:] for packet in capture.packets()
                              if call_id.encode() in packet.payload])

    def crossed(self, ann, bob):
        """
        Calls both ways, ended by either. What the backend asks of the phone of the node that it is
        not led to is relayed, once each, and nothing of the other phone.
        """
        asked = {True: ["INVITE", "ACK", "INVITE", "ACK"], False: ["INVITE", "ACK"]}
        for caller, callee in ((ann, bob), (bob, ann)):
            for caller_ends in (True, False):
                call_id, backend = self.call(caller, callee, caller_ends)
                far, near = (bob, ann) if backend == "kam1" else (ann, bob)
                node, other = (self.b, self.a) if far is bob else (self.a, self.b)
                # The callee is asked twice, the caller once, and who did not hang up to end.
                expected = asked[far is callee] + ["BYE"] * ((far is callee) == caller_ends)
                try:                           # captures may be late
                    wait_for(lambda: self.relayed_to(node, call_id) == expected, 5, "all relays")
                except LabError:
                    self.assertEqual(self.relayed_to(node, call_id), expected)
                self.assertEqual(self.relayed_to(other, call_id), [])
                self.backends.add(backend)
                self.call_ids.append(call_id)

    def test_1_calls(self):
        """WS and WSS phones of either node, IPv4 and IPv6: every pair."""
        self.backends, self.call_ids = set(), []
        for six in (False, True):
            for first in ("WS", "WSS"):
                for other in ("WS", "WSS"):
                    self.crossed(*self.pair(f"edge{first}{other}{six:d}".lower(), six, first, other))
        self.assertEqual(self.backends, set(self.lab.backends))
        self.at_one_backend(*self.call_ids)
        self.by_tls_alone(self.call_ids)

    def test_2_udp(self):
        """UDP phones of one node and WebSocket phones of the other."""
        for first, other in (("UDP", "WSS"), ("WS", "UDP")):
            self.calls(*self.pair(f"datagram{first}{other}".lower(), False, first, other))

    def test_3_moved(self):
        """A phone that says who it is goes on with its calls by a connection to the other node."""
        for transport in ("WS", "WSS"):
            self.lead(caller=self.a)
            name = f"moved{transport.lower()}"
            ann = self.outbound(name, transport)
            bob = self.phone(f"{name}-bob", "WSS" if transport == "WS" else "WS", "callee")
            sides = [talk(ann, bob)[::-1], talk(bob, ann)]          # bob's first
            self.lead(caller=self.b)
            ann.reconnect()
            ann.register()
            for bobs, anns in sides:
                self.modified(bobs, anns)
                self.modified(anns, bobs)
                hang_up(bobs, anns)


class Edges6(Edges):
    """Backends that the configuration names by IPv6 addresses."""

    options = {**Edges.options, "backends6": True}


if __name__ == "__main__":
    main()
