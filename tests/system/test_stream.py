# SPDX-License-Identifier: Apache-2.0
"""
Phones that come by connections, backends that see UDP: calls from and to TCP, TLS and WebSocket,
what a backend is shown of them, and what becomes of a phone whose connection is gone.
"""
import re
import sys
from contextlib import ExitStack

sys.dont_write_bytecode = True

from harness import SystemTest, main, seen, wait_for              # noqa: E402
from lab.sipp import SCENARIOS                                    # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import Phone, cancelled, hang_up, listed, reinvite, talk  # noqa: E402
from phones.stream import StreamPhone                             # noqa: E402
from phones.stunnel import Stunnel                                # noqa: E402
from sip import Message, host                                     # noqa: E402

TRANSPORTS = ("TCP", "TLS", "WS", "WSS")
PORTS = StreamPhone.ports
STREAM_PORT = 5070                       # of control's UDP listeners, for the first service


class Wires:
    """What passes the backends between `with` and its end."""

    def __init__(self, lab):
        self.captures = {name: Capture(backend.host.namespace)
                         for name, backend in lab.backends.items()}
        self.stack = ExitStack()

    def __enter__(self):
        for capture in self.captures.values():
            self.stack.enter_context(capture)
        return self

    def __exit__(self, *_):
        self.stack.close()

    def one(self, method, call_id, outgoing=False):
        """The one request of this method and Call-ID; captures may be late with it."""
        found = wait_for(lambda: self.messages(method, call_id, outgoing), 5,
                         f"a backend's wire to show {method} of {call_id}")
        assert len(found) == 1, f"{method} passed {len(found)} times"
        return found[0]

    def messages(self, method, call_id, outgoing):
        """Messages, whose source is the other end, also of outgoing ones."""
        found = []
        for capture in self.captures.values():
            for packet in capture.packets(protocol=UDP, outgoing=outgoing):
                other = ((packet.destination, packet.destination_port) if outgoing
                         else (packet.source, packet.source_port))
                message = Message(packet.payload, other)
                if message.method == method and message.get("call-id") == call_id:
                    found.append(message)
        return found


class StreamTest(SystemTest):

    options = {"streams": tuple(transport.lower() for transport in TRANSPORTS)}

    def phone(self, name, transport, host_name="callee", six=False, register=True):
        """A registered phone, known to every backend; transport UDP: as the other tests' phones."""
        there = self.lab.host(host_name)
        address = there.address6 if six else there.address
        made = (Phone(self.lab, host_name, name, address=address) if transport == "UDP" else
                StreamPhone(self.lab, host_name, name, transport, address=address))
        self.addCleanup(lambda: made.socket.close())
        if register:
            made.register()
            self.known_everywhere(name)
        return made

    def at_one_backend(self, *call_ids):
        by_call = seen(self.lab, lambda call_id: call_id in call_ids)
        self.assertEqual(set(by_call), set(call_ids))
        self.assert_one_backend(by_call, ())

    def paths(self, user):
        """{backend: the Paths of this user's contacts}."""
        return {name: {contact["Contact"]["Path"] for contact in
                       backend.rpc("ul.lookup", "location", f"{user}@{self.lab.domain}")["Contacts"]}
                for name, backend in self.lab.backends.items()}

    def modified(self, by, other):
        """A re-INVITE by one side's Dialog."""
        by.first = by.request("INVITE")
        by.phone.send(by.first)
        asked = other.phone.wait("INVITE", by.call_id)
        other.phone.reply(asked, 200)
        by.phone.wait(200, by.call_id, wanted=lambda m: "INVITE" in m.get("cseq"))
        by.ack()
        other.phone.wait("ACK", by.call_id)


class Calls(StreamTest):

    def sipp_callees(self, uas, users, port, six):
        """Users that one SIPp registers by one TCP connection and answers for."""
        return self.registered(uas, users, port, six, SCENARIOS)

    def registered(self, uas, users, port, six, scenarios, **options):
        there = self.lab.host("callee")
        server = self.lab.sipp(there, scenarios / "register_stay.xml", calls=len(users), users=users,
                               rate=100, port=port, transport="t1", hold_ms=100,
                               address=there.address6 if six else there.address,
                               extra=["-oocsf", scenarios / f"{uas}.xml"], **options)
        for user in users:
            self.known_everywhere(user)
        return server

    def sipp_caller(self, tag, transport, scenario, users, port, six, **options):
        """20 calls by SIPp in a second."""
        there = self.lab.host("caller")
        return tag, self.lab.sipp(there, scenario, calls=20, rate=20, users=users, port=port,
                                  transport=transport, hold_ms=100, call_id=f"%u-{tag}-@caller",
                                  address=there.address6 if six else there.address, **options)

    def over_tls(self, *names):
        """A directory of scenarios like those, for a SIPp whose TCP is a tunnel's business."""
        directory = self.lab.dir / "over-tls"
        directory.mkdir(exist_ok=True)
        for name in names:
            text = (SCENARIOS / f"{name}.xml").read_text(encoding="utf-8")
            (directory / f"{name}.xml").write_text(
                text.replace("[transport]", "TLS").replace(";transport=tcp", ";transport=tls"))
        return directory

    def all_succeeded(self, callers, servers):
        for tag, client in callers:
            result = client.wait(60)
            self.assertEqual((result.successful, result.failed), (20, 0),
                             f"{tag}: {result}\n{client.errors()}")
            by_call = seen(self.lab, lambda call_id: f"-{tag}-" in call_id)
            self.assertEqual(len(by_call), 20)
            self.assert_one_backend(by_call, ("INVITE", "200", "ACK", "BYE"))
        for server in servers:
            self.assertEqual(server.stop().failed, 0, server.errors())

    def test_1_sipp(self):
        """SIPp over TCP to UDP, UDP to TCP, TCP to TCP, by one connection and by one for each call."""
        for six in (False, True):
            port, there = (6300 if six else 6200), self.lab.host("callee")
            address = there.address6 if six else there.address
            users = {scenario: [f"{scenario}{six:d}-{user}" for user in range(4)]
                     for scenario in ("plain", "uas", "uas_bye")}
            self.lab.register("callee", users["plain"], port=port, address=address)
            servers = [self.lab.sipp("callee", "uas", port=port, address=address),
                       self.sipp_callees("uas", users["uas"], port + 1, six),
                       self.sipp_callees("uas_bye", users["uas_bye"], port + 2, six)]
            ways = [("t1", "uac", "plain"), ("tn", "uac", "plain"), ("u1", "uac", "uas"),
                    ("t1", "uac", "uas"), ("u1", "uac_wait_bye", "uas_bye"),
                    ("tn", "uac_wait_bye", "uas_bye")]
            self.all_succeeded(
                [self.sipp_caller(f"{way}{callee}{six:d}", way, scenario, users[callee],
                                  port + 10 + number, six)
                 for number, (way, scenario, callee) in enumerate(ways)], servers)

    def test_1_sipp_tls(self):
        """SIPp over TLS, by stunnel: to TLS and to UDP, from UDP, one session and one for each call."""
        scenarios = self.over_tls("register_stay", "uac", "uac_wait_bye", "uas", "uas_bye")
        for six in (False, True):
            port, callee = (6400 if six else 6350), self.lab.host("callee")
            address = callee.address6 if six else callee.address
            tunnels = {name: Stunnel(self.lab, name, six) for name in ("caller", "callee")}
            here, there = ({"target": tunnel.target} for tunnel in tunnels.values())
            users = {name: [f"{name}{six:d}-{user}" for user in range(4)]
                     for name in ("tlsplain", "tlsuas", "tlsbye")}
            self.lab.register("callee", users["tlsplain"], port=port, address=address)
            servers = [self.lab.sipp("callee", "uas", port=port, address=address),
                       self.registered("uas", users["tlsuas"], port + 1, six, scenarios, **there),
                       self.registered("uas_bye", users["tlsbye"], port + 2, six, scenarios, **there)]
            ways = [("t1", scenarios / "uac.xml", "tlsplain", here),
                    ("tn", scenarios / "uac.xml", "tlsuas", here),
                    ("u1", "uac", "tlsuas", {}),
                    ("t1", scenarios / "uac_wait_bye.xml", "tlsbye", here)]
            self.all_succeeded(
                [self.sipp_caller(f"{way}{callee}{six:d}", way, scenario, users[callee],
                                  port + 10 + number, six, **options)
                 for number, (way, scenario, callee, options) in enumerate(ways)], servers)
            for tunnel in tunnels.values():
                tunnel.stop()

    def test_2_both_ends(self):
        """Every pair of transports: modified by both ends, ended by either, each at one backend."""
        for number, first in enumerate(TRANSPORTS):
            for other in ("UDP", *TRANSPORTS):
                six = number % 2 == 1
                with self.subTest(first=first, other=other, six=six):
                    self.pair(first, other, six)

    def pair(self, first, other, six):
        name = f"{first}{other}{6 if six else 4}".lower()
        ann = self.phone(f"ann{name}", first, "caller", six)
        bob = self.phone(f"bob{name}", other, "callee", not six if other == "UDP" else six)
        calls = []
        for caller, callee, caller_ends in ((ann, bob, True), (bob, ann, True), (ann, bob, False),
                                            (bob, ann, False)):
            call, there = talk(caller, callee)
            reinvite(call, there)
            reinvite(there, call)
            hang_up(*((call, there) if caller_ends else (there, call)))
            calls.append(call.call_id)
        self.at_one_backend(*calls)

    def test_3_cancelled(self):
        """CANCEL finds the callee, 487 the caller, and the ACK to it stays at its hop."""
        for transport in TRANSPORTS:
            with self.subTest(transport=transport):
                name = transport.lower()
                ann = self.phone(f"early{name}", transport, "caller")
                bob = self.phone(f"late{name}", transport)
                for caller, callee in ((ann, bob), (bob, ann)):
                    call = cancelled(caller, callee)
                    self.at_one_backend(call.call_id)

    def test_4_what_backends_see(self):
        """Via, Path and the Record-Route that face a backend: this node, its port, and UDP."""
        lab = self.lab
        node = rf"{re.escape(lab.inside)}:{STREAM_PORT}"
        for transport in TRANSPORTS:
            for six in (False, True):
                with self.subTest(transport=transport, six=six), Wires(lab) as wires:
                    name = f"seen{transport.lower()}{six:d}"
                    ann = self.phone(name, transport, "caller", six)
                    bob = self.phone(f"{name}bob", "UDP")
                    call, there = talk(ann, bob)
                    hang_up(there, call)
                    self.seen_register(wires, ann, node)
                    self.seen_call(wires, call, transport, node, six)

    def seen_register(self, wires, phone, node):
        asked = wires.one("REGISTER", phone.register_call)
        self.assertEqual(asked.source, (self.lab.inside, STREAM_PORT))
        self.assertRegex(listed(asked.all("via"))[0], rf"^SIP/2\.0/UDP {node};")
        path, = listed(asked.all("path"))
        self.assertRegex(path, rf"^<sip:[^@;]+@{node};lr>$")
        self.assertIn("path", asked.get("supported"))

    def seen_call(self, wires, call, transport, node, six):
        lab = self.lab
        invite = wires.one("INVITE", call.call_id)
        self.assertEqual(invite.source, (lab.inside, STREAM_PORT))
        vias = listed(invite.all("via"))
        self.assertRegex(vias[0], rf"^SIP/2\.0/UDP {node};")
        self.assertRegex(vias[1], rf"^SIP/2\.0/{transport} ")
        self.assertRegex(vias[1], rf";received={re.escape(call.phone.address[0])}(;|$)")
        self.assertRegex(vias[1], rf";rport={call.phone.address[1]}(;|$)")
        facing, towards = listed(invite.all("record-route"))
        self.assertRegex(facing, rf"^<sip:[^@;]+@{node}[;>]")
        self.assertNotIn("transport=", facing)
        vip = re.escape(host(lab.vip6 if six else lab.vip))
        named = "ws" if transport in ("WS", "WSS") else transport.lower()
        self.assertRegex(towards, rf"^<sip:[^@;]+@{vip}:{PORTS[transport]};.*\btransport={named}\b")
        bye = wires.one("BYE", call.call_id, outgoing=True)
        self.assertEqual(bye.source, (lab.inside, STREAM_PORT))

    def test_5_what_phones_see(self):
        """A phone's own Via alone in responses; requests come with one of its transport on top."""
        for transport in TRANSPORTS:
            with self.subTest(transport=transport):
                name = f"own{transport.lower()}"
                ann = self.phone(name, transport, "caller")
                bob = self.phone(f"{name}bob", "UDP")
                answer = ann.register()
                self.assertEqual(len(listed(answer.all("via"))), 1)
                call = bob.invite(ann.aor)
                asked = ann.wait("INVITE", call)
                self.assertRegex(asked.get("via"), rf"^SIP/2\.0/{transport} "
                                                   rf"{re.escape(self.lab.vip)}:{PORTS[transport]};")
                towards, facing = listed(asked.all("record-route"))[:2]
                self.assertRegex(towards, rf"@{re.escape(self.lab.vip)}:{PORTS[transport]};transport=")
                self.assertRegex(facing, rf"@{re.escape(self.lab.inside)}:{STREAM_PORT};lr")
                ann.reply(asked, 486, "Busy Here", "busy")
                self.assertEqual(len(listed(bob.finish_invite(call, 486).all("via"))), 1)

    def test_6_gone(self):
        """
        Who calls a phone whose connection is gone hears 430 at once, in a dialog too; a phone that
        reconnects and registers is reached by the next message.
        """
        for transport in TRANSPORTS:
            with self.subTest(transport=transport):
                name = f"gone{transport.lower()}"
                ann = self.phone(name, transport, "caller")
                bob = self.phone(f"{name}bob", "UDP")
                call, there = talk(ann, bob)
                ann.connection.close()
                data = there.request("BYE")
                answer = bob.ask(data, 3)
                self.assertEqual(answer.status, 430, answer.start)
                lost = bob.invite(ann.aor, send=False)
                self.assertEqual(bob.ask(lost.first, 3).status, 430)
                before = self.paths(name)
                ann.reconnect()
                ann.register()
                wait_for(lambda: all(found - before[at] for at, found in self.paths(name).items()),
                         10, f"every backend to learn the new Path of {name}")
                call, there = talk(bob, ann)
                hang_up(there, call)
                self.at_one_backend(call.call_id)

    def test_7_operator(self):
        """`show connections` finds a phone by transport, source and SNI; `kill` ends its connection."""
        lab = self.lab
        phones = {transport: self.phone(f"op{transport.lower()}", transport, "caller")
                  for transport in TRANSPORTS}

        def shown(*filters):
            found = lab.ctl("show", "connections", *filters, json=True)["connections"]
            return {entry["peer"]: entry for entry in found}

        peers = {transport: f"{phone.address[0]}:{phone.address[1]}"
                 for transport, phone in phones.items()}
        for transport, peer in peers.items():
            entry = shown("--transport", transport.lower())[peer]
            secure = transport in ("TLS", "WSS")
            self.assertEqual((entry["transport"], entry["local"], entry["sni"]),
                             (transport, f"{lab.vip}:{PORTS[transport]}",
                              lab.domain if secure else None))
            self.assertEqual((entry["messages_in"], entry["messages_out"]), (1, 1))
            self.assertIn(peer, shown("--source", lab.host("caller").address))
            self.assertEqual(peer in shown("--sni", lab.domain), secure)
            self.assertEqual(lab.ctl("kill", "connection", entry["id"])[0], 0)
            self.assertTrue(phones[transport].connection.ends())
            wait_for(lambda: peer not in shown(), 5, f"{peer} to be forgotten")
            self.assertEqual(lab.ctl("kill", "connection", entry["id"])[0], 1)

    def test_8_reconnected(self):
        """A call of an outbound phone (RFC 5626) goes on by the connection that it makes next."""
        for number, transport in enumerate(TRANSPORTS):
            with self.subTest(transport=transport):
                name = f"again{transport.lower()}"
                outbound = {"extra": ["Supported: path, outbound"], "parameters":
                            ';reg-id=1;+sip.instance="<urn:uuid:00000000-0000-1000-8000-'
                            f'{number:012x}>"'}
                ann = self.phone(name, transport, "caller", register=False)
                self.assertIn(";ob>", ann.register(**outbound).get("path"))
                bob = self.phone(f"{name}bob", "UDP")
                call, there = talk(ann, bob)
                ann.connection.close()
                ann.reconnect()
                ann.register(**outbound)
                hang_up(there, call)
                self.at_one_backend(call.call_id)

    def requests(self):
        backends = self.lab.ctl("show", "backends", json=True)
        return sum(backend["requests"] or 0 for backend in backends)

    def test_9_told(self):
        """`why` says which plane has a call; backends' counts have those by streams, too."""
        ann, eve = self.phone("told", "TLS", "caller"), self.phone("toldeve", "WSS")
        bob, joe = self.phone("toldbob", "UDP"), self.phone("toldjoe", "UDP", "caller")
        for caller, callee, plane in ((ann, eve, "control"), (ann, bob, "both"),
                                      (joe, bob, "dataplane")):
            with self.subTest(plane=plane):
                before = self.requests()
                call, there = talk(caller, callee)
                said = self.lab.ctl("why", call.call_id, json=True)[0]
                self.assertEqual(said["plane"], plane, said)
                tables = {"call": plane != "control", "control_call": plane != "dataplane"}
                for table, known in tables.items():
                    self.assertEqual(said[table] is not None, known, said)
                    if known:
                        self.assertEqual(said[table]["backend"], said["backend"], said)
                hang_up(there, call)
                # INVITE, ACK, BYE: whichever plane sends them, each once.
                wait_for(lambda: self.requests() >= before + 3, 5, "requests to be counted")
                self.assertEqual(self.requests(), before + 3)


class Inside6(StreamTest):
    """Backends that the configuration names by IPv6 addresses see node_address6."""

    options = {**StreamTest.options, "backends6": True}

    def test_1_calls(self):
        node = rf"{re.escape(host(self.lab.inside6))}:{STREAM_PORT}"
        for transport in TRANSPORTS:
            for six in (False, True):
                with self.subTest(transport=transport, six=six), Wires(self.lab) as wires:
                    name = f"in{transport.lower()}{six:d}"
                    ann = self.phone(name, transport, "caller", six)
                    bob = self.phone(f"{name}bob", transport, six=not six)
                    for caller, callee in ((ann, bob), (bob, ann)):
                        call, there = talk(caller, callee)
                        hang_up(there, call)
                        invite = wires.one("INVITE", call.call_id)
                        self.assertRegex(listed(invite.all("via"))[0], rf"^SIP/2\.0/UDP {node};")
                        self.assertRegex(listed(invite.all("record-route"))[0], rf"@{node}[;>]")
                        self.at_one_backend(call.call_id)


if __name__ == "__main__":
    main()
