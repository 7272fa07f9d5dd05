# SPDX-License-Identifier: Apache-2.0
"""
SIP as far as the odd cases need it: messages read and written as bytes, and a UDP peer in a
namespace. It knows neither transactions nor timers: a test sends what it means to, as often.
"""
import itertools
import re
import select
import time

from netns import udp_socket

COMPACT = {"i": "call-id", "v": "via", "f": "from", "t": "to", "m": "contact", "k": "supported",
           "l": "content-length", "c": "content-type"}
_numbers = itertools.count(1)


class Message:
    """A received message: start (text), status (None for a request), method, header fields, body."""

    def __init__(self, data, source=None):
        self.data, self.source, self.time = data, source, time.monotonic()
        head, _, self.body = data.partition(b"\r\n\r\n")
        lines = re.sub(r"\r\n[ \t]+", " ", head.decode("utf-8", "surrogateescape")).split("\r\n")
        self.start = lines[0]
        response = re.match(r"SIP/2\.0 (\d{3})(?: |$)", self.start)
        self.status = int(response[1]) if response else None
        self.method = None if response else self.start.partition(" ")[0]
        self.fields = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if colon:
                name = name.strip().lower()
                self.fields.append((COMPACT.get(name, name), value.strip()))

    def all(self, name):
        """Values of all fields of this (long, lower-case) name."""
        return [value for field, value in self.fields if field == name]

    def get(self, name):
        """The first one, or None."""
        return next(iter(self.all(name)), None)

    @property
    def branch(self):
        """Of the top Via."""
        match = re.search(r";\s*branch\s*=\s*([^;,\s]+)", (self.get("via") or "").split(",")[0])
        return match[1] if match else None

    @property
    def to_tag(self):
        match = re.search(r"[;>]\s*tag=([^;\s]+)", self.get("to") or "")
        return match[1] if match else None


def host(address):
    """An address as URIs and sent-by write it."""
    return f"[{address}]" if ":" in address else address


def contact_uri(user, source, transport="UDP"):
    """Where a user is, as Contact says it: WS stands for WSS, too (RFC 7118 §5)."""
    where = host(source[0]) + (f":{source[1]}" if source[1] else "")
    named = {"UDP": "", "WSS": ";transport=ws"}.get(transport, f";transport={transport.lower()}")
    return f"sip:{user}@{where}{named}"


def request(method, uri, source, *, call_id=None, cseq=1, branch=None, user="tester",
            to=None, to_tag=None, from_tag="t1", routes=(), extra=(), body=b"", transport="UDP"):
    """
    The bytes of a request. source: (address, port) for Via and Contact, which names a transport
    that is not UDP; port 0: none. uri may be a user of example.net. The defaults repeat the fields
    that were not given only within one call: take the Call-ID and branch from what was sent when a
    second request belongs to it.
    """
    number = next(_numbers)
    call_id = call_id or f"odd-{number}-{time.monotonic_ns():x}@{source[0]}"
    branch = branch or f"z9hG4bK-odd-{number}-{time.monotonic_ns():x}"
    where = host(source[0]) + (f":{source[1]}" if source[1] else "")
    lines = [f"{method} {uri} SIP/2.0",
             f"Via: SIP/2.0/{transport} {where};rport;branch={branch}",
             *[f"Route: {route}" for route in routes],
             f"From: <sip:{user}@example.net>;tag={from_tag}",
             f"To: <{to or uri}>" + (f";tag={to_tag}" if to_tag else ""),
             f"Call-ID: {call_id}", f"CSeq: {cseq} {method}", "Max-Forwards: 70",
             f"Contact: <{contact_uri(user, source, transport)}>", *extra,
             f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


def response(to, status, reason, *, tag=None, contact=None, body=b""):
    """The bytes of a response to a Message."""
    lines = [f"SIP/2.0 {status} {reason}"]
    for name, value in to.fields:
        if name in ("via", "from", "to", "call-id", "cseq", "record-route"):
            if name == "to" and tag and ";tag=" not in value:
                value += f";tag={tag}"
            lines.append(f"{name}: {value}")
    if contact:
        lines.append(f"Contact: <{contact}>")
    lines += [f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode("utf-8", "surrogateescape") + body


class Peer:
    """
    A UDP socket of a lab's host that speaks SIP to the virtual address (of its family). Who speaks
    by another transport has other open(), send() and arrived().
    """

    transport = "UDP"

    def __init__(self, lab, host_name, port=0, address=None):
        self.host = lab.host(host_name)
        address = address or self.host.address
        self.target = (lab.vip6 if ":" in address else lab.vip, 5060)
        self.open(lab, address, port)
        self.address = self.socket.getsockname()[:2]

    def open(self, lab, address, port):
        """Makes the socket."""
        self.socket = udp_socket(self.host.namespace, address, port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def request(self, method, uri, **more):
        return request(method, uri, self.address, transport=self.transport, **more)

    def send(self, data, target=None):
        self.socket.sendto(data, target or self.target)

    def receive(self, timeout=3, wanted=lambda message: True):
        """The next Message for which wanted(message); None after timeout seconds."""
        deadline = time.monotonic() + timeout
        while True:
            message = self.arrived(max(0, deadline - time.monotonic()))
            if message is None or wanted(message):
                return message

    def arrived(self, timeout):
        """The next Message, whatever it is; None after timeout seconds."""
        if not select.select([self.socket], [], [], timeout)[0]:
            return None
        data, source = self.socket.recvfrom(65535)
        return Message(data, source[:2])

    def final(self, data, timeout=3, repeat=0.5):
        """Sends a request, again every `repeat` seconds, until its final response; or None."""
        call_id = Message(data).get("call-id")
        cseq = Message(data).get("cseq")
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            self.send(data)
            answer = self.receive(min(repeat, timeout), lambda m: (
                m.status and m.status >= 200 and m.get("call-id") == call_id
                and m.get("cseq") == cseq))
            if answer:
                return answer
        return None

    def options(self, call_id=None, cseq=1):
        """An OPTIONS that a backend of the laboratory answers itself, naming itself in Server."""
        return self.request("OPTIONS", "sip:ping@example.net", call_id=call_id, cseq=cseq)
