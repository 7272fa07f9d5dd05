# SPDX-License-Identifier: Apache-2.0
"""
Two nodes with the same virtual address and secret, the same Kamailios behind both: phones of one call
phones of the other, what comes to the wrong node is relayed to the right one, and phones, datagrams
and TLS sessions that the network leads to the other node in the middle go on there.
"""
import ssl
import sys

sys.dont_write_bytecode = True

from harness import main, seen, wait_for                          # noqa: E402
from netns import UDP, Capture, tcp_connect                       # noqa: E402
from phone import PATIENCE, SDP, SDP_TYPE, hang_up, talk          # noqa: E402
from phones.stream import trusting                                # noqa: E402
from sip import Message, Peer, host, request                      # noqa: E402
from test_stream import STREAM_PORT, StreamTest                   # noqa: E402
from test_stream_backends import Backends                         # noqa: E402
from test_stream_outbound import Flow                             # noqa: E402


class ClusterTest(StreamTest):
    """The virtual addresses lead the caller to node a, the callee to node b, all backends to a."""

    options = {"streams": ("tcp", "tls", "wss"), "nodes": 2, "backends": 2}

    def setUp(self):
        self.a, self.b = self.lab.nodes
        self.lead(caller=self.a, callee=self.b, kam1=self.a, kam2=self.a)

    def lead(self, **nodes):
        for name, node in nodes.items():
            self.lab.lead(name, node)

    def pair(self, name, six=False, first="TLS", other="TCP"):
        """A phone of each node."""
        return (self.phone(f"{name}-ann", first, "caller", six),
                self.phone(f"{name}-bob", other, "callee", six))

    def outbound(self, name, transport, six=False):
        """A phone of node a that says who it is (RFC 5626)."""
        there = self.lab.host("caller")
        phone = Flow(self.lab, "caller", name, transport, 1,
                     address=there.address6 if six else there.address)
        self.addCleanup(lambda: phone.socket.close())
        phone.register()
        self.known_everywhere(name)
        return phone

    def heard(self, node):
        """How many words of other nodes this one has heard."""
        return node.ctl("show", "connections", json=True)["counters"]["heard"]

    def calls(self, ann, bob):
        """Both ways, modified by both ends, ended by either."""
        calls = []
        for caller, callee, caller_ends in ((ann, bob, True), (bob, ann, True), (ann, bob, False),
                                            (bob, ann, False)):
            call, there = talk(caller, callee)
            self.modified(call, there)
            self.modified(there, call)
            hang_up(*((call, there) if caller_ends else (there, call)))
            calls.append(call.call_id)
        self.at_one_backend(*calls)

    def peers(self, node):
        """Who is connected to a node."""
        return {entry["peer"] for entry in node.ctl("show", "connections", json=True)["connections"]}

    def states(self, node):
        return {row["name"]: row["state"] for row in node.ctl("show", "backends", json=True)}

    def relayed(self, phone, routes, targets, six=False):
        """
        A backend's INFOs along these Routes, sent to these addresses, reach the phone; the answer to
        each comes from where it went to.
        """
        there = self.lab.host("kam2")
        for target in targets:
            with Peer(self.lab, "kam2", address=there.address6 if six else there.address) as backend:
                data = backend.request("INFO", phone.contact, to_tag="there", routes=routes)
                backend.send(data, target)
                phone.reply(phone.wait("INFO", Message(data).get("call-id")))
                answer = backend.receive(PATIENCE)
                self.assertEqual((answer.status, answer.source), (200, target))
                self.assertEqual(len(answer.all("via")), 1)


class Cluster(ClusterTest):

    def test_1_calls(self):
        """Calls between phones of both nodes; a connection is its own node's."""
        for six in (False, True):
            ann, bob = self.pair(f"calls{six:d}", six)
            for phone, here, there in ((ann, self.a, self.b), (bob, self.b, self.a)):
                peer = f"{host(phone.address[0])}:{phone.address[1]}"
                self.assertIn(peer, self.peers(here))
                self.assertNotIn(peer, self.peers(there))
            self.calls(ann, bob)

    def test_2_relayed(self):
        """A backend's request that comes to the other node is relayed, and so is the answer."""
        lab, (a, b) = self.lab, (self.a, self.b)
        ann, bob = self.pair("relay")
        call, there = talk(ann, bob)
        routes = there.routes[-2:]             # a's: towards the backend, towards the phone
        self.assertIn(f"@{a.inside}:{STREAM_PORT};lr", routes[0])
        self.lead(kam2=b)
        with Capture(lab.namespace(a.appliance), "tandem1") as wire:
            self.relayed(ann, routes, [(b.inside, STREAM_PORT), (lab.vip, 5060),
                                       (a.inside, STREAM_PORT)])
            # Somebody has dealt with the first one already.
            self.relayed(ann, routes[1:], [(b.inside, STREAM_PORT)])
            passed = [packet for packet in wire.packets(protocol=UDP, outgoing=False)
                      if packet.source == b.inside and b"INFO sip" in packet.payload]
        self.assertEqual([packet.source_port for packet in passed], [STREAM_PORT] * 3)
        hang_up(there, call)

    def test_3_registered(self):
        """The Path of a phone leads to it from either node."""
        ann, _ = self.pair("path")
        for paths in self.paths("path-ann").values():
            self.relayed(ann, paths, [(self.b.inside, STREAM_PORT), (self.a.inside, STREAM_PORT)])

    def flip(self, phone):
        """The caller's network leads to node b now: a connection is dead, and another is made."""
        self.lead(caller=self.b)
        phone.reconnect()

    def test_4_moved(self):
        """
        A phone whose packets go to the other node connects there: it goes on with its call by the
        Routes that it has, and who calls it finds it once it has registered.
        """
        ann, bob = self.pair("moved")
        calls = [talk(ann, bob), talk(bob, ann)]
        self.flip(ann)
        for call in (calls[0][0], calls[1][1]):
            other = calls[0][1] if call is calls[0][0] else calls[1][0]
            self.modified(call, other)
            hang_up(call, other)
        ann.register()
        self.known_everywhere(ann.user, 2)
        call, there = talk(bob, ann)
        hang_up(call, there)
        self.at_one_backend(*(call.call_id for pair in calls for call in pair[:1]), call.call_id)

    def test_4_outbound_moved(self):
        """
        One that says who it is (RFC 5626) is found by the calls that it has as soon as it has
        registered: what the other end asks comes to the node that it left, which hands it over. So it
        is when it comes back.
        """
        for transport, six in (("TLS", False), ("TCP", True), ("WSS", False)):
            with self.subTest(transport=transport):
                self.lead(caller=self.a)
                name = f"outbound-{transport.lower()}"
                ann = self.outbound(name, transport, six)
                bob = self.phone(f"{name}-bob", "TLS", "callee", six)
                calls = [talk(ann, bob), talk(bob, ann)]
                sides = [(calls[0][1], calls[0][0]), calls[1]]      # bob's first
                for node in (self.b, self.a):
                    self.lead(caller=node)
                    ann.reconnect()
                    ann.register()
                    for bobs, anns in sides:
                        self.modified(bobs, anns)
                        self.modified(anns, bobs)
                self.lead(caller=self.b)
                ann.reconnect()
                ann.register()
                for bobs, anns in sides:
                    hang_up(bobs, anns)
                self.at_one_backend(*(call.call_id for call, _ in calls))

    def test_5_resumed(self):
        """A session that began at one node is resumed at the other, in both versions of TLS."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            context = trusting(self.lab)
            context.minimum_version = context.maximum_version = version
            session = None
            for node in (self.a, self.b, self.a):
                self.lead(caller=node)
                with self.visit(context, session) as made:
                    self.assertEqual(made.session_reused, session is not None, version.name)
                    session = made.session

    def visit(self, context, session, host_name="caller"):
        """A TLS connection by which an OPTIONS was answered (a ticket comes before that)."""
        lab = self.lab
        raw = tcp_connect(lab.host(host_name).namespace, lab.vip, 5061)
        made = context.wrap_socket(raw, server_hostname=lab.domain, session=session)
        made.settimeout(PATIENCE)
        made.sendall(request("OPTIONS", "sip:ping@example.net", made.getsockname()[:2],
                             transport="TLS"))
        self.assertTrue(made.recv(65536).startswith(b"SIP/2.0 200 "))
        return made

    def counted(self, node):
        """Calls in progress, by backend."""
        return {row["name"]: row["calls"] for row in node.ctl("show", "calls", json=True)}

    def servers(self, phone):
        """Which backends answer new requests of a phone."""
        return {phone.ask(phone.options()).get("server") for _ in range(16)}

    def test_6_told(self):
        """`why`, `show calls` and `drain` tell what is the node's own."""
        ann, bob = self.pair("told")
        eve = self.phone("told-eve", "TCP", "callee")
        for caller, callee, nodes in ((ann, bob, (self.a, self.b)), (eve, bob, (self.b,))):
            before = {node: self.counted(node) for node in self.lab.nodes}
            call, there = talk(caller, callee)
            backend, = seen(self.lab, lambda call_id: call_id == call.call_id)[call.call_id]
            other = "kam2" if backend == "kam1" else "kam1"
            for node in (self.a, self.b):
                said = node.ctl("why", call.call_id, json=True)[0]
                known = node in nodes
                self.assertEqual(said["control_call"] is not None, known, said)
                if known:
                    self.assertEqual((said["plane"], said["backend"]), ("control", backend))
                self.assertEqual(self.counted(node),
                                 {**before[node], backend: before[node][backend] + known})
            draining = self.drain(backend)
            self.assertEqual(self.states(self.b)[backend], "draining")
            self.assertEqual(self.states(self.a)[backend], "up")
            self.assertEqual(self.servers(bob), {other})
            self.assertEqual(self.servers(ann), {backend, other})
            self.assertTrue(draining.running(), draining.log())
            hang_up(there, call)
            self.assertEqual(draining.wait(10), 0, draining.log())
            for node in (self.a, self.b):
                wait_for(lambda: self.counted(node) == before[node], 5, f"{node.name} to see the end")
            self.b.ctl("enable", backend)

    def test_6_drained(self):
        """A node that drains says so; the other one does not."""
        with Peer(self.lab, "caller") as caller, Peer(self.lab, "callee") as callee:
            self.assertEqual(self.b.ctl("drain", "node")[0], 0)
            self.addCleanup(self.b.ctl, "enable", "node")
            for peer, status in ((caller, 200), (callee, 503)):
                answer = peer.final(peer.request("OPTIONS", f"sip:{self.lab.vip}"))
                self.assertEqual(answer.status, status)

    def drain(self, backend):
        """`drain --wait` on node b, which has said that one call is left."""
        lab, node = self.lab, self.b
        self.addCleanup(node.ctl, "enable", backend)
        waiter = lab.popen(node.appliance, lab.build / "control/tandemctl", "--socket",
                           node.control_socket, "drain", backend, "--wait", "--calls-only")
        waiter.wait_line(r"\b1 call", 10)
        return waiter

    def test_7_control_is_away(self):
        """
        Control of node a is killed. Node b's calls go on, and those of UDP phones by node a. Who is
        called by a connection that died is said to be gone as soon as control is back, and is found
        at node b once it is there.
        """
        a = self.a
        ann, bob = self.pair("away")
        eve = self.phone("away-eve", "TLS", "callee")
        tom, kim = self.pair("away-udp", first="UDP", other="UDP")
        call, there = talk(ann, bob)
        routes = there.routes[-2:]
        other, other_there = talk(bob, eve)
        a.control.kill9()
        self.assertTrue(ann.connection.ends())
        self.modified(other, other_there)
        hang_up(other_there, other)
        self.calls(bob, eve)
        self.calls(tom, kim)
        lost = bob.invite(ann.aor)
        a.control.start()
        self.assertEqual(bob.wait(430, lost).status, 430)
        bob.send(bob.ack_failure(lost, Message(lost.first)))
        self.gone(routes)
        self.flip(ann)
        ann.register()
        self.known_everywhere(ann.user, 2)
        self.calls(bob, ann)
        self.modified(call, there)
        hang_up(call, there)

    def test_4_answered_elsewhere(self):
        """Who was asked by one node answers by the other, to which his network leads him by then."""
        for transport in ("TLS", "TCP"):
            self.lead(caller=self.a)
            ann, bob = self.pair(f"elsewhere-{transport.lower()}", first=transport)
            call = bob.invite(ann.aor)
            asked = ann.wait("INVITE", call)
            self.flip(ann)
            ann.reply(asked, 200, "OK", "t", SDP, [SDP_TYPE])
            answer = bob.wait(200, call, wanted=lambda m: "INVITE" in m.get("cseq"))
            call.learn(answer).ack()
            hang_up(ann.dialog_of(asked, "t"), call)

    def test_7_moved_meanwhile(self):
        """
        What a node missed while its control was away it asks for: a phone that went to the other node
        meanwhile goes on with its calls.
        """
        a = self.a
        ann = self.outbound("meanwhile", "TLS")
        bob = self.phone("meanwhile-bob", "TCP", "callee")
        calls = [talk(ann, bob), talk(bob, ann)]
        a.control.kill9()
        self.assertTrue(ann.connection.ends())
        self.flip(ann)
        ann.register()
        a.control.start()
        wait_for(lambda: self.heard(a) > 0, 10, "node a to hear where its phones are")
        for bobs, anns in ((calls[0][1], calls[0][0]), calls[1]):
            self.modified(bobs, anns)
            hang_up(bobs, anns)

    def gone(self, routes):
        """430 to a backend, whichever node it asks."""
        with Peer(self.lab, "kam2") as backend:
            for node in (self.a, self.b):
                data = backend.request("INFO", "sip:gone@192.0.2.21", to_tag="there", routes=routes)
                backend.send(data, (node.inside, STREAM_PORT))
                self.assertEqual(backend.receive(PATIENCE).status, 430)

    def test_8_datagrams(self):
        """
        UDP calls whose packets come to the other node from some message on: a request by its token,
        a response by our Via's seal; and with ways that differ by direction all the while.
        """
        for six in (False, True):
            ann, bob = self.pair(f"udp{six:d}", six, "UDP", "UDP")
            calls = []
            for number, (caller, callee) in enumerate(((ann, bob), (bob, ann))):
                for after in ("INVITE", 180, "ACK", "reINVITE"):
                    self.lead(caller=self.a, callee=self.b, kam1=self.a, kam2=self.b)
                    calls.append(self.call_that_flips(caller, callee, after))
            self.at_one_backend(*calls)

    def swap(self):
        self.lead(caller=self.b, callee=self.a, kam1=self.b, kam2=self.a)

    def call_that_flips(self, caller, callee, after):
        """A call in which everybody's packets go to the other node after this message."""
        def step(what):
            if what == after:
                self.swap()
        call = caller.invite(callee.aor)
        asked = callee.wait("INVITE", call)
        step("INVITE")
        callee.reply(asked, 180, "Ringing", "t")
        caller.wait(180, call)
        step(180)
        callee.reply(asked, 200, "OK", "t", SDP, [SDP_TYPE])
        answer = caller.wait(200, call, wanted=lambda m: "INVITE" in m.get("cseq"))
        call.learn(answer).ack()
        callee.wait("ACK", call)
        there = callee.dialog_of(asked, "t")
        step("ACK")
        self.modified(there, call)
        step("reINVITE")
        self.modified(call, there)
        hang_up(*((call, there) if after != 180 else (there, call)))
        return call.call_id

    def test_9_rotated(self):
        """Node a has new keys, and node b has yet to hear of them; then it has: calls and sessions go on."""
        a, b = self.a, self.b
        ann, bob = self.pair("rotated")
        tom, kim = self.pair("rotated-udp", first="UDP", other="UDP")
        old, old_there = talk(ann, bob)
        context, session = trusting(self.lab), None
        self.assertEqual(a.ctl("rotate-secret")[0], 0)
        for keys in ((2, 1), (2, 2)):
            self.assertEqual((a.generation()["key"], b.generation()["key"]), keys)
            self.modified(old, old_there)
            self.modified(old_there, old)
            call, there = talk(ann, bob)
            self.relayed(ann, there.routes[-2:], [(b.inside, STREAM_PORT)])
            hang_up(there, call)
            call, there = talk(bob, ann)
            self.relayed(bob, there.routes[-2:], [(a.inside, STREAM_PORT)])
            hang_up(there, call)
            self.calls(tom, kim)
            for node in (b, a, b):
                self.lead(callee=node)
                with self.visit(context, session, "callee") as made:
                    self.assertEqual(made.session_reused, session is not None)
                    session = made.session
            b.reload()
        hang_up(old_there, old)


class Inside6(ClusterTest):
    """Backends and nodes that know each other by IPv6 addresses; two threads have the streams."""

    options = {**ClusterTest.options, "backends6": True}

    @classmethod
    def prepare(cls, lab):
        for node in lab.nodes:
            node.config["control"]["streams"] = {"threads": 2}

    def test_calls(self):
        b = self.b
        for six in (False, True):
            ann, bob = self.pair(f"inside{six:d}", six)
            self.calls(ann, bob)
            call, there = talk(ann, bob)
            self.relayed(ann, there.routes[-2:], [(b.inside6, STREAM_PORT)], six=True)
            hang_up(call, there)
        self.calls(*self.pair("inside-udp", True, "UDP", "UDP"))

    def test_moved(self):
        ann = self.outbound("inside-moved", "TLS")
        bob = self.phone("inside-moved-bob", "TCP", "callee")
        call, there = talk(ann, bob)
        self.lead(caller=self.b)
        ann.reconnect()
        ann.register()
        self.modified(there, call)
        hang_up(there, call)


class TcpBackends(ClusterTest):
    """Backends by TCP, of which one's route to the virtual address leads to each node."""

    @classmethod
    def prepare(cls, lab):
        for entry in lab.pool():
            entry["transport"] = "tcp"
        Backends.prepare.__func__(cls, lab)
        for node in lab.nodes:
            node.config["pools"] = lab.config["pools"]

    @classmethod
    def equip(cls, lab, backend):
        backend.tcp = True

    def test_calls(self):
        self.lead(kam2=self.b)
        for first, other in (("TLS", "TCP"), ("UDP", "UDP"), ("UDP", "TLS")):
            for number in range(2):
                self.calls(*self.pair(f"tcp{first}{other}{number}", False, first, other))


class Health(ClusterTest):
    """A backend whose answers all come by the other node is not taken for silent."""

    @classmethod
    def prepare(cls, lab):
        for node in lab.nodes:
            node.config["pools"][0]["health"] = {}

    def test_answers_elsewhere(self):
        self.lead(callee=self.a, kam1=self.a, kam2=self.b)
        self.place([("uac", "uas")], calls=60, rate=30, hold_ms=100, tag="elsewhere").finish()
        self.assertEqual(set(self.states(self.a).values()), {"up"})
        found = {row["name"]: row for row in self.a.ctl("show", "backends", json=True)}
        self.assertGreater(found["kam2"]["requests"], 30)
        self.assertEqual(found["kam2"]["responses"], 0)


if __name__ == "__main__":
    main()
