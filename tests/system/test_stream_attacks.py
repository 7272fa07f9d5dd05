# SPDX-License-Identifier: Apache-2.0
"""
What attackers do to streams while others call by TCP, TLS, WSS and UDP: who is slow, silent, too
many, breaks off, or says what two parsers could read in two ways. Each attack ends by a close that
is counted by its reason, no call of the others fails, and control's memory comes back.
"""
import os
import re
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import SystemTest, main, wait_for                    # noqa: E402
from netns import tcp_connect                                     # noqa: E402
from phone import Phone, hang_up, talk                            # noqa: E402
from phones import websocket                                      # noqa: E402
from phones.stream import Connection, StreamPhone, drained, trusting     # noqa: E402
from sip import Message, request                                  # noqa: E402

MIB = 1 << 20
PER_SOURCE, WRITE_LIMIT, HEADER_LIMIT = 120, MIB // 4, 8192
TIMEOUT_S, IDLE_S = 1.5, 4
EACH = 8                                 # attackers of a kind
SLACK = 3 * MIB                          # by which what control has of memory may differ


class Talker(threading.Thread):
    """Two phones that call each other by turns until stop(); `calls` that were, and what failed."""

    def __init__(self, ann, bob):
        super().__init__(daemon=True)
        self.ann, self.bob, self.calls, self.failure = ann, bob, 0, None
        self.over = threading.Event()
        self.start()

    def run(self):
        try:
            while not self.over.is_set():
                hang_up(*talk(self.ann, self.bob))
                self.ann, self.bob = self.bob, self.ann
                self.calls += 1
                self.over.wait(0.1)
        except BaseException as error:          # stop() tells the test
            self.failure = error

    def stop(self):
        self.over.set()
        self.join()
        return self.failure


class AttackTest(SystemTest):
    """Who calls meanwhile, and what an attacker needs."""

    options = {"streams": ("tcp", "tls", "ws", "wss"), "ipv6": False, "backends": 2}

    @classmethod
    def prepare(cls, lab):
        lab.config["control"]["streams"] = {
            "message_timeout": f"{TIMEOUT_S * 1000:.0f}ms",
            "handshake_timeout": f"{TIMEOUT_S * 1000:.0f}ms", "idle_timeout": f"{IDLE_S}s", "header_limit": f"{HEADER_LIMIT // 1024}KiB",
            "body_limit": "64KiB", "write_limit": f"{WRITE_LIMIT // 1024}KiB",
            "connections_per_source": PER_SOURCE}

    def setUp(self):
        """Calls by SIPp over TCP and UDP to phones by UDP, by phones of ours over TLS and WSS."""
        lab = self.lab
        if not lab.hosts.get("attacker"):
            lab.host("attacker", "192.0.2.66")
            lab.register("callee", ["other0", "other1"], port=6300)
            lab.sipp("callee", "uas", port=6300)
        self.attacker = lab.host("attacker")
        number = lab.next_number()
        self.talkers = []
        for transport in ("TLS", "WSS"):
            pair = [StreamPhone(lab, "caller", f"t{transport}{number}".lower(), transport),
                    Phone(lab, "callee", f"u{transport}{number}".lower())]
            for phone in pair:
                phone.register()
                self.addCleanup(phone.socket.close)
                self.known_everywhere(phone.user)
            self.talkers.append(Talker(*pair))
        self.callers = [lab.sipp("caller", "uac", calls=10000, rate=20, users=["other0", "other1"],
                                 port=6400 + 2 * number + way, transport=transport, hold_ms=50)
                        for way, transport in enumerate(("t1", "u1"))]
        wait_for(lambda: all(caller.result().created for caller in self.callers), 10, "calls")
        self.before, self.memory = self.counters(), self.resident()

    def tearDown(self):
        self.gone()
        failures = [talker.stop() for talker in self.talkers]
        results = [caller.finish() for caller in self.callers]
        calls = [result.successful for result in results] + [talker.calls
                                                             for talker in self.talkers]
        self.say(f"others' calls meanwhile (TCP, UDP, TLS, WSS): {calls}; control has "
                 f"{self.resident() / MIB:.1f} MiB, had {self.memory / MIB:.1f}")
        self.assertEqual(failures, [None, None])
        self.assertEqual([result.failed for result in results], [0, 0],
                         "\n".join(caller.errors() for caller in self.callers))
        self.assertGreater(min(calls), 0)
        super().tearDown()

    def resident(self):
        """Bytes of memory that control has."""
        with open(f"/proc/{self.lab.control.process.pid}/status", encoding="ascii") as file:
            return int(re.search(r"VmRSS:\s+(\d+) kB", file.read())[1]) * 1024

    def counters(self):
        return laws.streams(self.lab)

    def there(self):
        """How many connections the attacker has."""
        return len(self.lab.ctl("show", "connections", "--source", self.attacker.address,
                                json=True)["connections"])

    def gone(self):
        wait_for(lambda: self.there() == 0, IDLE_S + 3, "the attacker's connections to be over")

    @contextmanager
    def counted(self, **wanted):
        """
        What was counted meanwhile, of those that only attackers move: exactly this, and it has a
        while to become true.
        """
        before = self.counters()
        yield

        def moved():
            now = self.counters()
            return {name: now[name] - before[name] for name in now
                    if re.match("(closed|refused|tls_failed|frame|upgrades)_", name)
                    and now[name] != before[name]}
        try:
            wait_for(lambda: moved() == wanted, IDLE_S + 3, "what is counted")
        except Exception:
            self.assertEqual(moved(), wanted)
            raise

    @contextmanager
    def ended(self, often, seldom, number):
        """So many closes of two reasons, of which chance says which; one more than now and then."""
        before = self.counters()
        yield
        self.gone()
        after = self.counters()
        first, other = (after[name] - before[name] for name in (often, seldom))
        self.assertEqual(first + other, number)
        self.assertGreater(first, number / 3)

    # What an attacker has.

    @staticmethod
    def said_by(sock):
        """All that comes until the other end is over; then this one is, for which it waits."""
        with sock:
            return drained(sock)

    def raw(self, port):
        """A connection that has said nothing."""
        made = tcp_connect(self.attacker.namespace, self.lab.vip, port)
        made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(made.close)
        made.settimeout(IDLE_S + 3)
        return made

    def opened(self, transport, version=None):
        """A Connection whose handshakes are done."""
        context = trusting(self.lab)
        if version:
            context.maximum_version = version
        made = Connection(self.attacker.namespace, (self.lab.vip, StreamPhone.ports[transport]),
                          transport, context=context, name=self.lab.domain)
        self.addCleanup(made.close)
        return made

    def hello(self):
        """A ClientHello."""
        out = ssl.MemoryBIO()
        try:
            trusting(self.lab).wrap_bio(ssl.MemoryBIO(), out,
                                        server_hostname=self.lab.domain).do_handshake()
        except ssl.SSLWantReadError:
            pass
        return out.read()

    def upgrade(self, **more):
        return websocket.upgrade(self.lab.vip, **more)[0]

    def options_of(self, uri="sip:ping@example.net", transport="TCP", **more):
        return request("OPTIONS", uri, (self.attacker.address, 40000), transport=transport, **more)

    def answered(self, connection, timeout=3):
        """The next response, as a Message."""
        data = connection.receive(timeout)
        self.assertIsNotNone(data, "no answer")
        return Message(data)

    @staticmethod
    def reset(sock):
        """Closes it by RST."""
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        sock.close()


class Attacks(AttackTest):

    def test_1_slow(self):
        """Who says a byte now and then, or nothing: of TLS, of the upgrade, of headers and bodies."""
        whole = self.options_of(body=b"x" * 2000)
        head, body = whole.index(b"\r\n\r\n") // 2, len(whole) - 1900
        slow = []                                       # (socket, what it goes on to say)

        def begin(made, said, goes_on, sends=None):
            if said:
                (sends or made.sendall)(said)
            slow.append((made, goes_on))

        with self.counted(closed_handshake_timeout=5 * EACH, closed_message_timeout=5 * EACH,
                          closed_idle=EACH):
            for _ in range(EACH):
                begin(self.raw(5060), b"", b"")                                # idle
                begin(self.raw(5061), b"", b"")                                # handshakes
                begin(self.raw(443), b"", b"")
                begin(self.raw(5061), self.hello()[:9], self.hello()[9:])
                begin(self.raw(80), b"", self.upgrade())
                begin(self.raw(5061), self.hello(), b"")
                begin(self.raw(5060), whole[:head], whole[head:])              # messages
                begin(self.raw(5060), whole[:body], whole[body:])
                made = self.opened("TLS")
                begin(made.socket, whole[:head], whole[head:])
                for framed in (websocket.frame(whole), websocket.frame(b"x", fin=False) +
                               websocket.frame(b"", websocket.PING)[:1]):
                    made = self.opened("WS")
                    begin(made.socket, framed[:20], framed[20:])
            self.dribble(slow)

    def dribble(self, slow):
        """A byte of each every 50 ms, for as long as two timeouts; all but the idle end meanwhile."""
        until = time.monotonic() + 2 * TIMEOUT_S
        at = 0
        while time.monotonic() < until:
            for sock, goes_on in slow:
                try:
                    sock.sendall(goes_on[at:at + 1])
                except OSError:
                    pass                                # it was closed
            at += 1
            time.sleep(0.05)

    def test_2_flood(self):
        """More connections than a source may have, all silent or half through TLS's handshake."""
        hello = self.hello()
        before = self.counters()
        with self.ended("closed_idle", "closed_handshake_timeout", PER_SOURCE):
            for number in range(2 * PER_SOURCE):
                made = self.raw(5061 if number % 2 else 5060)
                if number % 2:
                    try:
                        made.sendall(hello)
                    except OSError:
                        pass                            # refused
            self.assertLessEqual(self.there(), PER_SOURCE)
        self.assertEqual(self.counters()["refused_source"] - before["refused_source"], PER_SOURCE)
        self.assertEqual(self.answered_again("TCP"), 200)

    def answered_again(self, transport):
        made = self.opened(transport)
        made.send(self.options_of(transport=transport))
        status = self.answered(made).status
        made.close()
        return status

    def test_3_wrong_place(self):
        """Plain text to TLS's port, TLS to plain ones, SIP to HTTP's and HTTP to SIP's."""
        sip, http = self.options_of(), self.upgrade()
        for port, sent, wanted in (
                (5061, sip, {"closed_handshake": 1, "tls_failed_plain_text": 1}),
                (443, http, {"closed_handshake": 1, "tls_failed_plain_text": 1}),
                (5060, self.hello(), {"closed_frame": 1, "frame_not_sip": 1}),
                (5060, http, {"closed_frame": 1, "frame_not_sip": 1}),
                (80, self.hello(), {"closed_handshake": 1, "upgrades_refused": 1}),
                (80, sip, {"closed_handshake": 1, "upgrades_refused": 1})):
            with self.subTest(port=port, sent=sent[:8]), self.counted(**wanted):
                made = self.raw(port)
                made.sendall(sent)
                self.said_by(made)

    def test_4_records(self):
        """TLS that breaks off, or is none any more: in the handshake, and behind it."""
        hello = self.hello()
        failed = {"closed_handshake": 1}
        early, broken = ({**failed, f"tls_failed_{why}": 1} for why in ("closed_early", "protocol_error"))
        for sent, wanted in ((hello[:3], early), (hello[:100], early), (hello, early),
                             (hello[:3] + b"\xff\xff" + hello[5:], broken),
                             (hello[:5] + b"\x01\xff\xff\xff" + hello[9:], broken),
                             (hello[:5] + b"\x0f" + hello[6:], broken)):
            with self.subTest(sent=len(sent), first=sent[:9]), self.counted(**wanted):
                made = self.raw(5061)
                made.sendall(sent)
                if wanted is early:
                    made.shutdown(socket.SHUT_WR)
                self.said_by(made)
        for transport in ("TLS", "WSS"):
            for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
                for sent, wanted in ((b"\x17\x03\x03\x00\x50" + b"x" * 30, "closed_peer"),
                                     (b"\x17\x03\x03\x00\x20" + b"x" * 32, "closed_error"),
                                     (b"\x17\x03\x03\xff\xff" + b"x" * 99, "closed_error"),
                                     (b"INVITE sip:a@example.net SIP/2.0\r\n", "closed_error")):
                    with self.subTest(transport=transport, version=version.name, sent=sent[:9]), \
                            self.counted(**{wanted: 1}):
                        made = self.opened(transport, version)
                        with socket.socket(fileno=os.dup(made.socket.fileno())) as under:
                            under.settimeout(5)
                            under.sendall(sent)
                            if wanted == "closed_peer":
                                under.shutdown(socket.SHUT_WR)
                            drained(under)

    def test_5_renegotiation(self):
        """A client of TLS 1.2 that asks for another handshake is refused it, and that is its end."""
        with self.counted(closed_renegotiation=1):
            client = subprocess.Popen(
                ["ip", "netns", "exec", self.attacker.namespace, "openssl", "s_client", "-tls1_2",
                 "-connect", f"{self.lab.vip}:5061", "-CAfile", self.lab.authority.cert],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            self.addCleanup(client.kill)
            wait_for(lambda: self.there() == 1, 5, "the client")
            client.stdin.write(b"R\n")
            client.stdin.flush()
            said, _ = client.communicate(timeout=10)
        self.assertIn(b"RENEGOTIATING", said)
        self.assertIn(b"no renegotiation", said)

    def test_6_smuggling(self):
        """Upgrades with a second request, a body or a header in them that some parser might see."""
        good = self.upgrade()
        field = b"\r\nUpgrade: websocket"
        other = b"GET /admin HTTP/1.1\r\nHost: a\r\n\r\n"
        for sent, status in (
                (good.replace(field, field + b"\r\nContent-Length: 35"), 400),
                (good.replace(field, field + b"\r\nContent-Length: 0\r\nContent-Length: 35"), 400),
                (good.replace(field, field + b"\r\nTransfer-Encoding: chunked") +
                 b"0\r\n\r\n" + other, 400),
                (good.replace(field, field + b"\r\nTransfer-Encoding : chunked"), 400),
                (good.replace(field, field + b"\r\n Transfer-Encoding: chunked"), 400),
                (good.replace(field, field + b"\nContent-Length: 35"), 400),
                (good.replace(field, field + b"\rContent-Length: 35"), 400),
                (good.replace(field, field + b"\r\nHost: elsewhere"), 400),
                (good.replace(field, field + b"\r\nX: a\x00b"), 400),
                (good.replace(b"GET /", b"GET http://elsewhere/"), 400),
                (good.replace(b" HTTP/1.1", b" HTTP/1.1 HTTP/1.1", 1), 400),
                (good.replace(b" HTTP/1.1", b"\tHTTP/1.1", 1), 400),
                (good.replace(b" HTTP/1.1", b" HTTP/1.0", 1), 505),
                (b"\n" + good, 400),
                (other + good, 404)):
            with self.subTest(sent=sent), self.counted(closed_handshake=1, upgrades_refused=1):
                made = self.raw(80)
                made.sendall(sent)
                said = self.said_by(made)
                self.assertTrue(said.startswith(b"HTTP/1.1 %d " % status), said)
                self.assertEqual(said.count(b"HTTP/1.1"), 1)
        with self.counted(closed_frame=1):         # behind it there are frames only
            made = self.raw(80)
            made.sendall(good + other)
            said = self.said_by(made)
            self.assertTrue(said.startswith(b"HTTP/1.1 101 "), said)
            self.assertEqual(said.count(b"HTTP/1.1"), 1)

    def test_7_lengths(self):
        """Content-Lengths that hide a message from one reader: nobody ever sees that one."""
        hidden = self.options_of(call_id="hidden-one")
        good = self.options_of(call_id="shown-one", body=hidden)
        named = b"Content-Length: %d\r\n" % len(hidden)
        for said, wanted in (
                (b"Content-Length: 0\r\n" + named, "length_contrary"),
                (named + b"l: 0\r\n", "length_contrary"),
                (b"l: 0\r\nCONTENT-LENGTH : %d\r\n" % len(hidden), "length_contrary"),
                (b"Content-Length: 0, %d\r\n" % len(hidden), "length_bad"),
                (b"Content-Length: +%d\r\n" % len(hidden), "length_bad"),
                (b"Content-Length: 0x0\r\n", "length_bad"),
                (b"Content-Length: 0 0\r\n", "length_bad"),
                (b"Content-Length:\r\n", "length_bad"),
                (b"Content-Length: %d\r\n" % (2**32), "length_bad"),
                (b"Content-Length: %d\r\n" % (2**64), "length_bad"),
                (b"X-Content-Length: 0\r\n", "length_missing")):
            for transport in ("TCP", "TLS"):
                with self.subTest(said=said, transport=transport), \
                        self.counted(closed_frame=1, **{f"frame_{wanted}": 1}):
                    made = self.opened(transport)
                    made.send_bytes(good.replace(named, said))
                    self.assertEqual(self.answered(made).status, 400)
                    self.assertTrue(made.ends())
                    made.close()                        # it is waited for
        with self.counted(closed_peer=1):
            made = self.opened("TCP")                          # folded, and yet one
            made.send_bytes(good.replace(named, b"l:\r\n %d\r\n" % len(hidden)) +
                            hidden.replace(b"hidden", b"next"))
            self.assertEqual({self.answered(made).get("call-id") for _ in range(2)},
                             {"shown-one", "next-one"})
            self.assertIsNone(made.receive(0.2))
            made.close()
        for backend in self.lab.backends.values():
            self.assertNotIn("hidden-one", {message.call_id for message in backend.messages()})

    def test_8_too_much(self):
        """Headers and bodies over the limits; line ends and keep-alives without end."""
        long = b"X: " + b"x" * HEADER_LIMIT + b"\r\n"
        field = b"Content-Length: 0\r\n"
        many = b"v: SIP/2.0/TCP a\r\n" * 300
        for sent, status, reason in (
                (self.options_of().replace(field, long + field), 513, "headers_long"),
                (self.options_of().replace(field, field + long), 513, "headers_long"),
                (self.options_of().replace(field, many + field), 400, "headers_many"),
                (self.options_of().replace(field, b"l: 70000\r\n"), 413, "body_long"),
                (b"OPTIONS sip:" + b"x" * MIB, None, "headers_long")):
            for transport in ("TCP", "TLS"):
                with self.subTest(reason=reason, transport=transport), \
                        self.counted(closed_frame=1, **{f"frame_{reason}": 1}):
                    made = self.opened(transport)
                    try:
                        made.send_bytes(sent)
                    except OSError:
                        pass                            # it ended before all was sent
                    if status:
                        self.assertEqual(self.answered(made).status, status)
                    self.assertTrue(made.ends())
                    made.close()                        # it is waited for
        with self.counted(closed_peer=2):
            for noise in (b"\r\n" * 50001, b"\0" * 100000):
                made = self.opened("TCP")
                reader = threading.Thread(target=made.send_bytes, args=[noise * 40])
                reader.start()
                while reader.is_alive():
                    made.read(time.monotonic() + 0.2)
                reader.join()
                made.socket.shutdown(socket.SHUT_WR)
                self.assertTrue(made.ends())

    def deaf(self, transport):
        """A Connection that takes little of what is sent to it."""
        made = self.opened(transport)
        made.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        made.socket.settimeout(0.2)
        return made

    def pour(self, made, what, bound):
        """Sends without reading until nothing is taken; how many bytes went."""
        sent = 0
        try:
            while sent < bound:
                made.socket.sendall(what)
                sent += len(what)
        except OSError:
            pass
        return sent

    def test_9_slow_reader(self):
        """Who asks without reading has to wait, and ends; memory stays within write_limit."""
        before, most = self.resident(), 0
        with self.ended("closed_slow_reader", "closed_message_timeout", 3 * EACH):
            for transport in ("TCP", "TLS", "WS"):
                asked = self.options_of("sip:example.net", transport)
                framed = websocket.frame(asked) if transport == "WS" else asked
                for _ in range(EACH):
                    made = self.deaf(transport)
                    sent = self.pour(made, framed * 100, 64 * MIB)
                    self.assertLess(sent, 32 * MIB, "it was never told to wait")
                    most = max(most, self.resident())
        self.say(f"{3 * EACH} that do not read: {(most - before) / MIB:.1f} MiB more at most")
        self.assertLess(most - before, 3 * EACH * WRITE_LIMIT + SLACK)

    def test_a_reset(self):
        """RST in the middle of a handshake, an upgrade, a message, a frame, and of a call."""
        with self.counted(closed_handshake=3 * EACH, tls_failed_closed_early=2 * EACH):
            for _ in range(EACH):
                for port, sent in ((5061, self.hello()), (443, self.hello()[:50]),
                                   (80, self.upgrade()[:50])):
                    made = self.raw(port)
                    made.sendall(sent)
                    wait_for(lambda: self.there() > 0, 3, "the connection")
                    self.reset(made)
        half = self.options_of()[:100]
        with self.counted(closed_error=4 * EACH):
            for _ in range(EACH):
                for transport in StreamPhone.ports:
                    made = self.opened(transport)
                    self.assertTrue(made.ping())        # TLS's tickets do not mind a reset
                    made.send_bytes(websocket.frame(half)[:50] if "W" in transport else half)
                    self.reset(made.socket)
        ann = StreamPhone(self.lab, "attacker", f"ann{self.lab.next_number()}")
        ann.register()
        self.known_everywhere(ann.user)
        with Phone(self.lab, "callee", "resetter") as bob:
            bob.register()
            calls = [bob.invite(ann.aor) for _ in range(EACH)]
            for call in calls:
                ann.wait("INVITE", call)
            self.reset(ann.socket)
            self.gone()
            lost = bob.invite(ann.aor, send=False)
            self.assertEqual(bob.ask(lost.first, 3).status, 430)

    def test_b_memory(self):
        """Many attackers with half a message each, and then none: what they took comes back."""
        before = self.resident()
        half = self.options_of(body=b"x" * 60000)[:50000]
        with self.counted(closed_message_timeout=PER_SOURCE - 20):
            for number in range(PER_SOURCE - 20):
                made = self.opened("TLS" if number % 2 else "TCP")
                made.send_bytes(half)
            held = self.resident()
        after = wait_for(lambda: self.resident() < before + SLACK and self.resident(), 10,
                         "memory to come back")
        self.say(f"control: {before / MIB:.1f} MiB, with half a message of {PER_SOURCE - 20} "
                 f"{held / MIB:.1f}, after them {after / MIB:.1f}")
        self.assertGreater(held, before + SLACK)


if __name__ == "__main__":
    main()
