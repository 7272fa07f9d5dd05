# SPDX-License-Identifier: Apache-2.0
"""
What a stream's bytes may look like: split at every byte, glued, kept alive, and what is no SIP, or
too much of it, which ends a connection, is counted, and hurts nobody else's.
"""
import socket
import sys
import time
from contextlib import contextmanager

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from harness import SystemTest, main, wait_for                    # noqa: E402
from netns import tcp_connect                                     # noqa: E402
from phone import SDP, SDP_TYPE, Phone, compact, hang_up, talk    # noqa: E402
from phones import websocket                                      # noqa: E402
from phones.stream import StreamPeer, StreamPhone, drained        # noqa: E402
from sip import Message                                           # noqa: E402

CRLF = b"\r\n"


class Tcp(StreamPeer):
    transport = "TCP"


class Tls(StreamPeer):
    transport = "TLS"


class Ws(StreamPeer):
    transport = "WS"


KINDS = (Tcp, Tls)                       # where Content-Length says how long a message is


class FramingTest(SystemTest):

    options = {"streams": ("tcp", "tls", "ws")}

    @classmethod
    def prepare(cls, lab):
        lab.config["control"]["streams"] = {
            "message_timeout": "2s", "handshake_timeout": "2s",
            "header_limit": "4KiB", "body_limit": "4KiB"}

    def peer(self, kind=Tcp, host_name="caller"):
        made = kind(self.lab, host_name)
        made.connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(made.socket.close)
        return made

    def answers(self, peer, asked, timeout=4):
        """The statuses of the final responses to requests (bytes), in the requests' order."""
        wanted = {Message(data).get("call-id"): None for data in asked}
        deadline = time.monotonic() + timeout
        while None in wanted.values() and time.monotonic() < deadline:
            message = peer.receive(deadline - time.monotonic())
            if message is None:
                break
            if message.status and message.status >= 200 and message.get("call-id") in wanted:
                wanted[message.get("call-id")] = message.status
        return list(wanted.values())

    def works(self, peer):
        asked = peer.options()
        peer.send(asked)
        self.assertEqual(self.answers(peer, [asked]), [200])

    @contextmanager
    def counted(self, *names):
        """Each of these counters of streams grows by one meanwhile."""
        before = laws.streams(self.lab)
        yield
        for name in names:
            wait_for(lambda: laws.streams(self.lab)[name] > before[name], 5, f"{name} to grow")
            self.assertEqual(laws.streams(self.lab)[name], before[name] + 1, name)

    def ended(self, sent, counter, kind=Tcp, status=None):
        """
        These bytes end a connection, answered by this status, and are counted by this counter; a
        neighbour's goes on.
        """
        with self.counted("closed_frame", counter):
            self.ends(sent, kind, status)

    def ends(self, sent, kind, status):
        neighbour, peer = self.peer(kind), self.peer(kind)
        self.works(neighbour)
        try:
            peer.connection.send_bytes(sent)
        except OSError:                           # it ended before all was sent
            pass
        if status:
            answer = peer.receive(3)
            self.assertIsNotNone(answer, "no answer")
            self.assertEqual(answer.status, status)
        self.assertTrue(peer.connection.ends(6), "the connection was left open")
        self.works(neighbour)


class Framing(FramingTest):

    def test_1_split(self):
        """A request split at every byte, and one byte at a time, is answered like a whole one."""
        for kind in KINDS:
            peer = self.peer(kind)
            whole = peer.request("OPTIONS", "sip:ping@example.net", body=b"v=0\r\n\r\nSIP/2.0")
            for cut in range(1, len(whole)):
                # Another call each time, of the same length.
                asked = whole.replace(Message(whole).get("call-id").encode(),
                                      b"%0*d" % (len(Message(whole).get("call-id")), cut))
                peer.connection.send_bytes(asked[:cut])
                time.sleep(0.001)                 # so that it does not arrive in one piece
                peer.connection.send_bytes(asked[cut:])
                self.assertEqual(self.answers(peer, [asked]), [200], f"{kind.transport}, {cut}")
            asked = peer.options()
            for byte in asked:
                peer.connection.send_bytes(bytes([byte]))
            self.assertEqual(self.answers(peer, [asked]), [200])

    def test_2_glued(self):
        """Many requests in one piece, with bodies, compact, with keep-alives between: all answered."""
        for kind in KINDS:
            peer = self.peer(kind)
            asked = []
            for number in range(60):
                data = peer.request("OPTIONS", "sip:ping@example.net", extra=[SDP_TYPE],
                                    body=SDP * (number % 3))
                asked.append(compact(data) if number % 2 else data)
            glued = b"".join(data + CRLF * (number % 6) for number, data in enumerate(asked))
            peer.connection.send_bytes(glued)
            self.assertEqual(self.answers(peer, asked), [200] * len(asked))
            for size in (1, 7, 100, 1461, 5000):
                more = [peer.options() for _ in range(6 if size == 1 else 30)]
                glued = b"".join(more)
                for at in range(0, len(glued), size):
                    peer.connection.send_bytes(glued[at:at + size])
                self.assertEqual(self.answers(peer, more), [200] * len(more), f"pieces of {size}")

    def test_3_keep_alive(self):
        """CRLFCRLF is answered, a lone CRLF is not; WebSocket's Ping is, and CRLFCRLF in a frame."""
        for kind in (*KINDS, Ws):
            peer = self.peer(kind)
            for _ in range(3):
                self.assertTrue(peer.connection.ping(), kind.transport)
                self.works(peer)
        lone = self.peer()
        lone.connection.send_bytes(CRLF)
        self.works(lone)
        self.assertEqual(lone.connection.pongs, 0)

    def test_7_keep_alive_framed(self):
        """RFC 7118 has none of CRLFCRLF, but clients send it: it is answered in kind."""
        framed = self.peer(Ws)
        framed.send(CRLF * 2)
        self.assertEqual(framed.connection.receive(3), CRLF)

    def test_4_no_message(self):
        """What can be no message ends the connection; those with a readable head are answered."""
        peer = self.peer()
        good = peer.options()
        length = b"Content-Length: 0\r\n"
        for said, status, counter in (
                (b"", 400, "frame_length_missing"),
                (b"Content-Length: x\r\n", 400, "frame_length_bad"),
                (b"Content-Length: -1\r\n", 400, "frame_length_bad"),
                (b"Content-Length: 99999999999999999999\r\n", 400, "frame_length_bad"),
                (b"Content-Length: 0\r\nl: 5\r\n", 400, "frame_length_contrary"),
                (b"Content-Length: 100000000\r\n", 413, "frame_body_long"),
                (b"X: " + b"x" * 5000 + CRLF + length, 513, "frame_headers_long")):
            self.ended(good.replace(length, said), counter, status=status)
        for noise in (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
                      b"\x00\xff" * 600, b"INVITE\r\n\r\n"):
            self.ended(noise, "frame_not_sip")
        self.ended(b"x" * 200000, "frame_headers_long")

    def test_5_slow(self):
        """A message that does not end, and a handshake that does not, are given up."""
        lab = self.lab
        neighbour, peer = self.peer(), self.peer()
        good = peer.options()
        begun = time.monotonic()
        with self.counted("closed_message_timeout"):
            peer.connection.send_bytes(good[:100])
            self.assertTrue(peer.connection.ends(8))
        self.assertGreater(time.monotonic() - begun, 1.5)
        for port in (5061, 80):
            with self.counted("closed_handshake_timeout"), \
                    tcp_connect(lab.host("caller").namespace, lab.vip, port) as silent:
                silent.settimeout(8)
                begun = time.monotonic()
                drained(silent)                          # HTTP says 408 first
                self.assertGreater(time.monotonic() - begun, 1.5)
        self.works(neighbour)

    def test_6_calls_glued(self):
        """A call whose messages all come one byte at a time, both ends."""
        def dribble(phone):
            def send(data):
                for byte in data:
                    phone.connection.send_bytes(bytes([byte]))
            phone.connection.send = send
        ann = StreamPhone(self.lab, "caller", "slowann")
        bob = StreamPhone(self.lab, "callee", "slowbob", "TLS")
        for phone in (ann, bob):
            self.addCleanup(phone.socket.close)
            dribble(phone)
            phone.register()
            self.known_everywhere(phone.user)
        call, there = talk(ann, bob)
        hang_up(there, call)


class WebSocket(FramingTest):

    options = {"streams": ("ws",)}

    def refused(self, status, method=b"GET", drop=None, **options):
        """An upgrade that is answered by this status, after which the connection ends."""
        lab = self.lab
        asked, _ = websocket.upgrade(lab.vip, **options)
        asked = asked.replace(b"GET", method, 1)
        if drop:
            asked = b"\r\n".join(line for line in asked.split(b"\r\n")
                                 if not line.startswith(drop))
        with self.counted("closed_handshake", "upgrades_refused"), \
                tcp_connect(lab.host("caller").namespace, lab.vip, 80) as raw:
            raw.sendall(asked)
            raw.settimeout(5)
            said = drained(raw)
        self.assertTrue(said.startswith(b"HTTP/1.1 %d " % status), said)

    def test_1_upgrade(self):
        """What is no upgrade to SIP gets the status that fits."""
        self.refused(404, path="/elsewhere")
        self.refused(405, method=b"POST")
        self.refused(400, protocol="chat")
        self.refused(400, drop=b"Sec-WebSocket-Key")
        self.refused(400, drop=b"Upgrade")
        self.refused(400, drop=b"Host")
        self.refused(431, extra=["X: " + "x" * 8192])
        self.refused(400, extra=["Content-Length: 5"])

    def test_2_frames(self):
        """Fragmented messages, control frames between them, binary, and what no client may send."""
        peer = self.peer(Ws)
        send = peer.connection.send_bytes
        asked = peer.options()
        send(websocket.frame(asked[:50], fin=False))
        send(websocket.frame(b"now", websocket.PING))
        send(websocket.frame(asked[50:90], websocket.CONTINUATION, fin=False))
        send(websocket.frame(asked[90:], websocket.CONTINUATION))
        self.assertEqual(self.answers(peer, [asked]), [200])
        self.assertEqual(peer.connection.pongs, 1)
        asked = peer.options()
        send(websocket.frame(asked, websocket.BINARY))
        self.assertEqual(self.answers(peer, [asked]), [200])
        asked = peer.options()
        for byte in websocket.frame(asked):
            send(bytes([byte]))
        self.assertEqual(self.answers(peer, [asked]), [200])
        for code, sent in ((1002, websocket.frame(asked, masked=False)),
                           (1002, websocket.frame(asked, reserved=4)),
                           (1002, websocket.frame(asked, websocket.CONTINUATION)),
                           (1009, websocket.frame(b"x" * 9000)),
                           (1007, websocket.frame(b"\xff\xfe" * 10)),
                           (1000, websocket.frame((1000).to_bytes(2, "big"), websocket.CLOSE))):
            peer = self.peer(Ws)
            with self.counted("closed_peer" if code == 1000 else "closed_frame"):
                peer.connection.send_bytes(sent)
                while peer.connection.receive(3) is not None:
                    pass
                self.assertEqual(peer.connection.close_code, code)
                self.assertTrue(peer.connection.ends())


if __name__ == "__main__":
    main()
