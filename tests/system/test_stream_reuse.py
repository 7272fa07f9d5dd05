# SPDX-License-Identifier: Apache-2.0
"""
Connections between control and real Kamailios: those that take aliases send their own requests back by
ours (RFC 5923), those that say `alias` themselves get ours by theirs; those that are reached by UDP get
by TCP what is too large for a datagram (RFC 3261 §18.1.1), with all that belongs to it, and by UDP when
they refuse it.
"""
import sys

sys.dont_write_bytecode = True

from harness import main, seen, wait_for                          # noqa: E402
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
    settings, alias = "", False

    @classmethod
    def prepare(cls, lab):
        add = lab.add_backend

        def add_by_tcp(name, *args, start=True, **more):
            backend = add(name, *args, start=False, **more)
            backend.tcp, backend.settings, backend.alias = True, cls.settings, cls.alias
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


class Aliases(ByTcp):
    """Kamailios that make connections of their own to the virtual address, and say `;alias` there."""

    alias = True

    @classmethod
    def prepare(cls, lab):
        super().prepare(lab)
        lab.config["pools"][0]["health"] = {"probe": "none"}       # it would have us connect again
        for entry in lab.pool():
            entry["transport"] = "tcp"

    def theirs(self):
        """{backend: the connection that it made}, each of which is its alias."""
        found = {}
        for name, backend in self.lab.backends.items():
            for entry in self.between(outgoing=False):
                if entry["alias"] == f"{backend.address}:5060":
                    self.assertNotIn(name, found)
                    self.assertEqual(entry["peer"].rpartition(":")[0], backend.address)
                    found[name] = entry
        self.assertEqual(len(found), len(self.between(outgoing=False)))
        return found

    def end(self, entries):
        """An operator ends these connections; returns when none of them is there."""
        for entry in entries:
            self.assertEqual(self.lab.ctl("kill", "connection", entry["id"])[0], 0)
        ended = {entry["id"] for entry in entries}
        wait_for(lambda: not ended & {entry["id"] for outgoing in (True, False)
                                      for entry in self.between(outgoing)}, 5, "connections to end")

    def asked_from(self, name, call_id):
        """From where a backend says that the requests of a call came, in order."""
        return [message.source for message in self.lab.backends[name].messages()
                if message.call_id == call_id and message.what.isalpha()]

    def call(self, caller, callee):
        """A call whose two sides hang up in turn: (Call-ID, which backend had it)."""
        call, there = talk(caller, callee)
        self.modified(there, call)
        hang_up(call, there)
        backend, = seen(self.lab, lambda call_id: call_id == call.call_id)[call.call_id]
        return call.call_id, backend

    def test_1_reused(self):
        """What we ask in a call goes by the connection that Kamailio made for its own of that call."""
        ann, bob = self.phone("ann", "TLS", "caller"), self.phone("bob", "TCP")
        self.assertEqual((self.theirs(), self.counter("aliases")), ({}, 0))
        call, there = talk(ann, bob)
        (name, made), = self.theirs().items()
        self.assertEqual(self.counter("aliases"), 1)
        before = self.asked_from(name, call.call_id)
        self.assertNotIn(f"{self.lab.vip}:5060", before)
        self.end(self.between(outgoing=True))
        self.modified(call, there)
        hang_up(call, there)
        after = self.asked_from(name, call.call_id)[len(before):]
        self.assertEqual(after, [f"{self.lab.vip}:5060"] * 3)            # INVITE, ACK, BYE
        self.assertEqual(self.between(outgoing=True), [])
        now = self.theirs()[name]
        self.assertEqual((now["id"], self.counter("aliases")), (made["id"], 1))
        # Those, and the answers to Kamailio's own.
        self.assertGreaterEqual(now["messages_out"], made["messages_out"] + 3 + 2)

    def until_all_made_one(self, caller, callee):
        for _ in range(60):
            if len(self.theirs()) == len(self.lab.backends):
                return
            self.call(caller, callee)
        self.fail(f"calls at {set(self.theirs())} only")

    def test_2_all(self):
        """Of any phone, UDP's too, calls that are new and REGISTERs: none needs a connection of ours."""
        phones = [self.phone(f"all{transport}", transport, host_name) for transport, host_name in
                  (("TLS", "caller"), ("TCP", "callee"), ("UDP", "caller"))]
        self.until_all_made_one(*phones[:2])
        self.assertEqual(self.counter("aliases"), len(self.theirs()))
        self.end(self.between(outgoing=True))
        ids = {entry["id"] for entry in self.theirs().values()}
        for number in range(9):
            caller, callee = phones[number % 3], phones[(number + 1) % 3]
            callee.register()
            call_id, backend = self.call(caller, callee)
            self.assertEqual(set(self.asked_from(backend, call_id)), {f"{self.lab.vip}:5060"})
        self.assertEqual(self.between(outgoing=True), [])
        self.assertEqual({entry["id"] for entry in self.theirs().values()}, ids)

    def test_3_ended(self):
        """Once theirs has ended we make one; they make another, which is the alias then."""
        ann, bob = self.phone("eva", "TLS", "caller"), self.phone("max", "TCP")
        self.until_all_made_one(ann, bob)
        said = self.counter("aliases")
        self.end([*self.theirs().values(), *self.between(outgoing=True)])
        call_id, backend = self.call(ann, bob)
        self.assertNotIn(f"{self.lab.vip}:5060", self.asked_from(backend, call_id)[:1])
        self.assertEqual([entry["peer"] for entry in self.between(outgoing=True)],
                         [f"{self.lab.backends[backend].address}:5060"])
        self.assertEqual((set(self.theirs()), self.counter("aliases")), ({backend}, said + 1))


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
