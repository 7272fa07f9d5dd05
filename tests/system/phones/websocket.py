# SPDX-License-Identifier: Apache-2.0
"""
The client's side of WebSocket (RFC 6455) over a socket that is open: the upgrade, and frames made
and read one by one, so that a test can also make what no client should.
"""
import base64
import hashlib
import os
import struct

TEXT, BINARY, CLOSE, PING, PONG, CONTINUATION = 1, 2, 8, 9, 10, 0
MAGIC = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Refused(Exception):
    """The upgrade was answered otherwise than 101: .status, .head."""

    def __init__(self, head):
        super().__init__(head.split("\r\n", 1)[0])
        self.head = head
        self.status = int(head.split()[1]) if head.startswith("HTTP/1.1 ") else None


def upgrade(host, path="/", protocol="sip", origin=None, extra=()):
    """The bytes of an upgrade request, and the key that its answer must prove to have read."""
    key = base64.b64encode(os.urandom(16)).decode()
    lines = [f"GET {path} HTTP/1.1", f"Host: {host}", "Upgrade: websocket", "Connection: Upgrade",
             f"Sec-WebSocket-Key: {key}", "Sec-WebSocket-Version: 13",
             *([f"Sec-WebSocket-Protocol: {protocol}"] if protocol else []),
             *([f"Origin: {origin}"] if origin else []), *extra, "", ""]
    return "\r\n".join(lines).encode(), key


def accepts(key):
    """Sec-WebSocket-Accept for a key (RFC 6455 §4.2.2)."""
    return base64.b64encode(hashlib.sha1((key + MAGIC).encode()).digest()).decode()


def check_upgraded(head, key, protocol="sip"):
    """Refused, unless the head of a response (text) is a good 101."""
    lines = head.split("\r\n")
    fields = {name.lower(): value.strip() for name, _, value in
              (line.partition(":") for line in lines[1:])}
    if not lines[0].startswith("HTTP/1.1 101 "):
        raise Refused(head)
    wanted = {"upgrade": "websocket", "connection": "upgrade",
              **({"sec-websocket-protocol": protocol} if protocol else {})}
    for name, value in wanted.items():
        if fields.get(name, "").lower() != value:
            raise Refused(head)
    if fields.get("sec-websocket-accept") != accepts(key):
        raise Refused(head)


def frame(payload, opcode=TEXT, fin=True, masked=True, reserved=0):
    """The bytes of one frame."""
    first = (0x80 if fin else 0) | reserved << 4 | opcode
    bit = 0x80 if masked else 0
    n = len(payload)
    if n < 126:
        head = struct.pack("!BB", first, bit | n)
    elif n < 65536:
        head = struct.pack("!BBH", first, bit | 126, n)
    else:
        head = struct.pack("!BBQ", first, bit | 127, n)
    if not masked:
        return head + payload
    mask = os.urandom(4)
    repeated = mask * (n // 4 + 1)
    return head + mask + bytes(a ^ b for a, b in zip(payload, repeated))


def take_frame(data):
    """(opcode, fin, payload, bytes used) of the first frame in data; None when it is not whole."""
    if len(data) < 2:
        return None
    opcode, fin, n, at = data[0] & 15, bool(data[0] & 0x80), data[1] & 0x7F, 2
    if data[1] & 0x80:
        raise ValueError("a server must not mask")
    if n >= 126:
        size = 2 if n == 126 else 8
        if len(data) < 2 + size:
            return None
        n, at = int.from_bytes(data[2:2 + size], "big"), 2 + size
    if len(data) < at + n:
        return None
    return opcode, fin, bytes(data[at:at + n]), at + n
