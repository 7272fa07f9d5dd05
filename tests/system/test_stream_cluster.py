# SPDX-License-Identifier: Apache-2.0
"""
Two nodes with the same virtual address and secret, the same Kamailios behind both: phones of one call
phones of the other, what comes to the wrong node is relayed to the right one, and phones, datagrams
and TLS sessions that the network leads to the other node in mid-call go on there.
"""
import sys
import time

sys.dont_write_bytecode = True

from harness import main, seen, wait_for                          # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import Phone, hang_up, talk                            # noqa: E402
from phones.stream import StreamPhone, trusting                   # noqa: E402
from sip import Message, Peer, host, response                     # noqa: E402
from test_stream import STREAM_PORT, StreamTest                   # noqa: E402


class Cluster(StreamTest):
    """The virtual addresses lead the caller to node a, the callee to node b."""

    options = {"streams": ("tcp", "tls"), "nodes": 2, "backends": 2}

    def setUp(self):
        self.a, self.b = self.lab.nodes
        self.lead(caller=self.a, callee=self.b, kam1=self.a, kam2=self.a)

    def lead(self, **nodes):
        for name, node in nodes.items():
            self.lab.lead(name, node)

    def inside(self, node, six=False):
        return node.inside6 if six else node.inside

    def pair(self, name, six=False, first="TLS", other="TCP"):
        """A phone of each node."""
        return (self.phone(f"{name}-ann", first, "caller", six),
                self.phone(f"{name}-bob", other, "callee", six))

    def modified(self, by, other):
        """A re-INVITE by one side's Dialog."""
        by.first = by.request("INVITE")
        by.phone.send(by.first)
        other.phone.reply(other.phone.wait("INVITE", by.call_id))
        by.phone.wait(200, by.call_id, wanted=lambda m: "INVITE" in m.get("cseq"))
        by.ack()
        other.phone.wait("ACK", by.call_id)

    def peers(self, node):
        """Who is connected to a node."""
        return {entry["peer"] for entry in node.ctl("show", "connections", json=True)["connections"]}

    def test_1_calls(self):
        """Both ways, modified by both ends, ended by either; a connection is its own node's."""
        for six in (False, True):
            ann, bob = self.pair(f"calls{six:d}", six)
            for phone, here, there in ((ann, self.a, self.b), (bob, self.b, self.a)):
                peer = f"{host(phone.address[0])}:{phone.address[1]}"
                self.assertIn(peer, self.peers(here))
                self.assertNotIn(peer, self.peers(there))
            calls = []
            for caller, callee, caller_ends in ((ann, bob, True), (bob, ann, True),
                                                (ann, bob, False), (bob, ann, False)):
                call, there = talk(caller, callee)
                self.modified(call, there)
                self.modified(there, call)
                hang_up(*((call, there) if caller_ends else (there, call)))
                calls.append(call.call_id)
            self.at_one_backend(*calls)


if __name__ == "__main__":
    main()
