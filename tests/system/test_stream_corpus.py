# SPDX-License-Identifier: Apache-2.0
"""
Every message of the corpus beside the project by UDP, to the data plane, and by TCP and TLS, to
control: both planes do the same with it. On streams they come split, and glued to each other. The
virtual address is one that no message names, the only backend a sink that never answers.
"""
import collections
import random
import re
import socket
import sys
import time
import unittest

sys.dont_write_bytecode = True

from harness import CORPUS, SystemTest, main, wait_for            # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phones.stream import Connection, trusting                    # noqa: E402
from sip import Message, Peer, request                            # noqa: E402
from test_verdicts import SENDER, SINK, VIP, on_the_wire, table   # noqa: E402

LENGTH = re.compile(rb"\r?\n(?:content-length|l)[ \t]*:[ \t]*([^\r\n]*(?:\r?\n[ \t]+[^\r\n]*)*)",
                    re.IGNORECASE)
START = re.compile(rb"(?!via|\s)[^\r\n]*\bSIP/", re.IGNORECASE)
PLANES = re.compile("via|record-route|path|content-length")       # what each writes its own way
GLUED = 25                               # messages in one piece
FRAME, DATAGRAM = 1200, 20000            # bytes: what is longer comes in fragments; in too many

# What became of a message: what the sink got, and what was said to who sent it.
Outcome = collections.namedtuple("Outcome", "forwarded replied")


class Lost(Exception):
    """A marker was: the stream ended before it, or took it for part of a message."""


def with_length(data):
    """
    A message as a stream takes it, to be sent so by UDP, too: nothing in front of it, its header
    section ended, its Content-Length there and right. None: what has more than that against it.
    """
    data = data.lstrip(b"\r\n")
    head, blank, body = data.partition(b"\r\n\r\n")
    if not blank:
        head = head.rstrip(b"\r\n")
    if b"\n\n" in head or not START.match(head) or len(data) > DATAGRAM:
        return None
    right = b"\r\nContent-Length: %d" % len(body)
    lengths = LENGTH.findall(head)
    if len(lengths) > 1 or (lengths and not lengths[0].isdigit()):
        return None
    if not lengths:
        head += right
    elif int(lengths[0]) != len(body):
        head = LENGTH.sub(right, head)
    return head + b"\r\n\r\n" + body


def same_by_each_plane(message):
    """What of a forwarded message must not depend on who forwarded it; lines may end in LF alone."""
    message = Message(re.sub(rb"\r?\n", b"\r\n", message.data))
    return (message.start, tuple((name, value) for name, value in message.fields
                                 if not PLANES.fullmatch(name)), message.body)


@unittest.skipUnless((CORPUS / "MANIFEST.tsv").exists(), "the corpus is absent")
class Corpus(SystemTest):

    options = {"backends": 0, "ipv6": False, "streams": ("tcp", "tls")}

    @classmethod
    def prepare(cls, lab):
        lab.config["dataplane"]["ports"][0]["addresses"] = [f"{VIP}/24"]
        for entry in lab.config["services"][0]["listen"]:
            entry["address"] = VIP
        lab.config["pools"][0]["backends"] = [{"name": "sink", "address": SINK, "port": 5060,
                                               "weight": 100}]

    def setUp(self):
        lab = self.lab
        self.sender = lab.host("sender", SENDER)
        lab.host("sink", SINK, "inside")
        self.sink = Peer(lab, "sink", 5060)
        self.phone = Peer(lab, "sender", 5066)
        self.phone.target = (VIP, 5060)
        for peer in (self.sink, self.phone):
            self.addCleanup(peer.socket.close)
        manifest = {row["file"]: row for row in table("MANIFEST.tsv")}
        whole = {file: with_length(on_the_wire(row, manifest)) for file, row in manifest.items()
                 if row["kind"] in ("msg", "raw")}
        self.files = {file: data for file, data in whole.items() if data}
        self.odd = {file: on_the_wire(manifest[file], manifest)
                    for file, data in whole.items() if not data}
        self.assertGreater(len(self.files), 700)

        def through():
            self.phone.send(self.phone.request("OPTIONS", "sip:warm@example.net"))
            return self.sink.receive(0.3)
        wait_for(through, 10, "the sink to be reached")
        while self.sink.receive(0.3):
            pass

    def mark(self, transport, number):
        """A request that is forwarded, and one that is answered here: what was before is over."""
        source = self.phone.address
        return [request("OPTIONS", uri, source, call_id=f"mark-{transport}-{number}",
                        transport=transport) for uri in ("sip:u@example.net", "sip:example.net")]

    def at_sink(self, call_id):
        """What the sink got before the marker with that Call-ID."""
        found = []
        while True:
            message = self.sink.receive(1)
            if message is None:
                raise Lost(call_id)
            if message.get("call-id") == call_id:
                return found
            found.append(same_by_each_plane(message))

    def by_udp(self):
        """{file: Outcome}, each followed by its markers."""
        outcomes = {}
        with Capture(self.lab.namespace("sender")) as wire:
            for number, (file, data) in enumerate(self.files.items()):
                self.phone.send(data)
                if len(data) > FRAME:
                    time.sleep(0.05)                   # its fragments take another way
                for marker in self.mark("UDP", number):
                    self.phone.send(marker)
                outcomes[file] = self.at_sink(f"mark-UDP-{number}")
            last = f"mark-UDP-{len(self.files) - 1}".encode()

            def said():
                return [packet.payload for packet in wire.packets(protocol=UDP, outgoing=False)
                        if packet.source == VIP]
            wait_for(lambda: any(last in payload for payload in said()), 5, "the last marker")
            replies = [Message(payload) for payload in said()]
        ends = {message.get("call-id"): at for at, message in enumerate(replies)
                if (message.get("call-id") or "").startswith("mark-UDP-")}
        before = 0
        for number, (file, forwarded) in enumerate(outcomes.items()):
            at = ends[f"mark-UDP-{number}"]
            outcomes[file] = Outcome(forwarded, [m.status for m in replies[before:at]])
            before = at + 1
        return outcomes

    def connect(self, transport):
        made = Connection(self.sender.namespace, (VIP, {"TCP": 5060, "TLS": 5061}[transport]),
                          transport, context=trusting(self.lab), name=self.lab.domain)
        made.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.addCleanup(made.close)
        return made

    def outcome(self, connection, call_id):
        """What became of all that was sent before a marker."""
        forwarded, replied = self.at_sink(call_id), []
        while True:
            data = connection.receive(1)
            if data is None:
                raise Lost(call_id)
            message = Message(data)
            if message.get("call-id") == call_id:
                return Outcome(forwarded, replied)
            replied.append(message.status)

    def test_1_split(self):
        """Each by UDP, and by TCP and TLS cut in two somewhere: the same verdict."""
        expected, wrong = self.by_udp(), []
        dice = random.Random(1)
        for transport in ("TCP", "TLS"):
            connection = self.connect(transport)
            for number, (file, data) in enumerate(self.files.items()):
                cut = dice.randrange(1, len(data))
                connection.send_bytes(data[:cut])
                connection.send_bytes(data[cut:] + b"".join(self.mark(transport, number)))
                try:
                    got = self.outcome(connection, f"mark-{transport}-{number}")
                except Lost as error:
                    got, connection = error, self.connect(transport)
                if got != expected[file]:
                    wrong.append(f"{file} by {transport}, cut at {cut}: {got}\n"
                                 f"      by UDP: {expected[file]}")
        tally = collections.Counter(
            "forwarded" if forwarded else "answered" if replied else "dropped"
            for forwarded, replied in expected.values())
        self.say(f"{len(self.files)} messages: {dict(tally)}; {len(wrong)} otherwise by streams")
        self.assertEqual(wrong, [], "\n" + "\n".join(wrong[:20]))
        self.assertGreater(min(tally[what] for what in ("forwarded", "answered", "dropped")), 10)

    def test_2_glued(self):
        """Many in one piece, line ends between them: what becomes of them together is the same."""
        expected, files = self.by_udp(), list(self.files)
        for transport in ("TCP", "TLS"):
            connection = self.connect(transport)
            for at in range(0, len(files), GLUED):
                some = files[at:at + GLUED]
                glued = b"\r\n".join(self.files[file] for file in some)
                connection.send_bytes(glued + b"".join(self.mark(f"{transport}G", at)))
                got = self.outcome(connection, f"mark-{transport}G-{at}")
                together = Outcome(*(sum((getattr(expected[file], what) for file in some), [])
                                     for what in Outcome._fields))
                self.assertEqual(got, together, f"{transport}, {some}")

    def test_3_odd(self):
        """Those whose length is wrong or that do not end: the stream ends, and others' go on."""
        neighbour = self.connect("TLS")
        for number, (file, data) in enumerate(self.odd.items()):
            for transport in ("TCP", "TLS"):
                connection = self.connect(transport)
                try:
                    connection.send_bytes(data)
                    connection.socket.shutdown(socket.SHUT_WR)
                except OSError:                         # it ended before all was sent
                    pass
                self.assertTrue(connection.ends(3), file)
                connection.close()
            neighbour.send_bytes(b"".join(self.mark("TLSN", number)))
            self.outcome(neighbour, f"mark-TLSN-{number}")
        self.say(f"{len(self.odd)} messages that are none on a stream, or not alone")


if __name__ == "__main__":
    main()
