# SPDX-License-Identifier: Apache-2.0
"""
Phones over TCP, TLS and WebSocket: a connection that takes messages apart by Content-Length or by
frames, and the Phone of phone.py on top of it.
"""
import re
import secrets
import ssl
import time

from netns import tcp_connect
from phone import PATIENCE, Phone
from phones import websocket
from sip import Message, Peer, host

LENGTH = re.compile(rb"\r\n(?:content-length|l)[ \t]*:[ \t]*(\d+)", re.IGNORECASE)


def trusting(lab):
    """A client's TLS context that believes the laboratory's authority alone."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(lab.authority.cert)
    return context


def drained(sock):
    """All that comes by a socket until its peer ends it, be it by a reset."""
    data = b""
    try:
        while more := sock.recv(65536):
            data += more
    except ConnectionResetError:
        pass
    return data


def is_utf8(data):
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class Connection:
    """
    A connection from `address` in a namespace to `target`; transport: TCP, TLS, WS or WSS.
    context and name are TLS's; websocket: options of websocket.upgrade(). `pongs` counts the
    keep-alives that came, `closed` turns true when the peer ended it.
    """

    def __init__(self, namespace, target, transport="TCP", address=None, port=0, context=None,
                 name=None, **upgrade):
        self.transport, self.data, self.closed, self.pongs = transport, b"", False, 0
        self.close_code, self.parts, self.text, self.waiting = None, b"", False, []
        source = (address, port) if address else None
        self.socket = tcp_connect(namespace, *target, source=source)
        try:
            if transport in ("TLS", "WSS"):
                self.socket = context.wrap_socket(self.socket, server_hostname=name)
            if transport in ("WS", "WSS"):
                self.upgrade(target, upgrade)
        except BaseException:
            self.socket.close()
            raise

    def upgrade(self, target, options):
        asked, key = websocket.upgrade(f"{host(target[0])}:{target[1]}", **options)
        self.socket.sendall(asked)
        deadline = time.monotonic() + PATIENCE
        while b"\r\n\r\n" not in self.data and self.read(deadline):
            pass
        head, _, self.data = self.data.partition(b"\r\n\r\n")
        websocket.check_upgraded(head.decode("latin-1"), key, options.get("protocol", "sip"))

    def read(self, deadline):
        """More bytes; False at the deadline or when the connection ended."""
        if self.closed:
            return False
        try:
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            more = self.socket.recv(65536)
        except (TimeoutError, ssl.SSLWantReadError):
            return False
        except OSError:
            more = b""
        self.closed = not more
        self.data += more
        return bool(more)

    def framed(self, message):
        """The bytes that the transport has for a whole message."""
        if self.transport not in ("WS", "WSS"):
            return message
        return websocket.frame(message, websocket.TEXT if is_utf8(message) else websocket.BINARY)

    def send(self, *messages):
        """Whole messages, all at once."""
        self.send_bytes(b"".join(map(self.framed, messages)))

    def send_bytes(self, data):
        """Bytes as they are."""
        self.socket.settimeout(PATIENCE)
        self.socket.sendall(data)

    def receive(self, timeout):
        """The next message's bytes; None after timeout seconds, or when there will be none."""
        if self.waiting:
            return self.waiting.pop(0)
        deadline = time.monotonic() + timeout
        take = self.take_frame if self.transport in ("WS", "WSS") else self.take_message
        while True:
            message = take()
            if message is not None:
                return message
            if not self.read(deadline):
                return None

    def take_message(self):
        while self.data.startswith(b"\r\n"):
            self.data, self.pongs = self.data[2:], self.pongs + 1
        head, blank, rest = self.data.partition(b"\r\n\r\n")
        if not blank:
            return None
        length = int(LENGTH.search(head)[1])          # ours must always be there
        if len(rest) < length:
            return None
        self.data = rest[length:]
        return head + blank + rest[:length]

    def take_frame(self):
        while (found := websocket.take_frame(self.data)) is not None:
            opcode, fin, payload, used = found
            self.data = self.data[used:]
            if opcode == websocket.PING:
                self.send_bytes(websocket.frame(payload, websocket.PONG))
            elif opcode == websocket.PONG:
                self.pongs += 1
            elif opcode == websocket.CLOSE:
                self.close_code = int.from_bytes(payload[:2], "big") if payload else 1005
            else:
                self.text = opcode == websocket.TEXT or (opcode == websocket.CONTINUATION
                                                         and self.text)
                self.parts += payload
                if fin:
                    message, self.parts = self.parts, b""
                    if self.text and not is_utf8(message):
                        raise ValueError("a text that is not UTF-8 (RFC 6455 §5.6)")
                    return message
        return None

    def ends(self, timeout=PATIENCE):
        """Whether the peer ends it within this time; what comes before is thrown away."""
        deadline = time.monotonic() + timeout
        while self.read(deadline):
            pass
        return self.closed

    def ping(self, timeout=PATIENCE):
        """Whether a keep-alive is answered (RFC 5626 §4.4.1; RFC 6455 §5.5.2). Messages stay."""
        before, deadline, kept = self.pongs, time.monotonic() + timeout, []
        framed = self.transport in ("WS", "WSS")
        self.send_bytes(websocket.frame(b"are you there", websocket.PING) if framed
                        else b"\r\n\r\n")
        take = self.take_frame if framed else self.take_message
        while True:
            while (message := take()) is not None:
                kept.append(message)
            if self.pongs > before or not self.read(deadline):
                break
        self.waiting += kept
        return self.pongs > before

    def close(self):
        self.socket.close()


class StreamPeer(Peer):
    """A Peer over a connection to the listener of its transport (class attribute)."""

    transport = "TCP"
    ports = {"TCP": 5060, "TLS": 5061, "WS": 80, "WSS": 443}

    def open(self, lab, address, port):
        self.lab = lab
        self.target = (self.target[0], self.ports[self.transport])
        secure = self.transport in ("TLS", "WSS")
        self.connection = Connection(
            self.host.namespace, self.target, self.transport, address, port,
            context=trusting(lab) if secure else None, name=lab.domain if secure else None)
        self.socket = self.connection.socket

    def send(self, data, target=None):
        self.connection.send(data)

    def arrived(self, timeout):
        data = self.connection.receive(timeout)
        return None if data is None else Message(data, self.target)


class StreamPhone(Phone, StreamPeer):
    """
    A phone at the end of a connection. It sends a request once: what a stream took will arrive. By
    WebSocket it has no address to tell, as browsers.
    """

    repeat = PATIENCE

    def __init__(self, lab, host_name, user, transport="TCP", **more):
        self.transport = transport
        if transport in ("WS", "WSS"):
            more.setdefault("public", (f"{secrets.token_hex(6)}.invalid", 0))
        super().__init__(lab, host_name, user, **more)

    def reconnect(self, close=True):
        """
        Another connection from another port, in the place of this one, which is returned; close
        False: it is left as it is, as by a phone that has lost it in silence.
        """
        former = self.connection
        if close:
            self.socket.close()
        self.open(self.lab, self.address[0], 0)
        self.address = self.socket.getsockname()[:2]
        if self.transport in ("TCP", "TLS"):
            self.public = self.address
        return former
