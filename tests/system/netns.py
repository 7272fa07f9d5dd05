# SPDX-License-Identifier: Apache-2.0
"""
Sockets inside network namespaces, and what passes on their wires. A socket belongs to the namespace
it was made in, so a thread enters, makes it and ends; nothing else of the test moves.
"""
import collections
import ctypes
import os
import select
import socket
import struct
import threading
import time

from frames import ETH_P_IP, ETH_P_IPV6, ICMPV6, UDP

CLONE_NEWNET = 0x40000000
ETH_P_ALL = 0x0003
ICMP = 1
_libc = ctypes.CDLL(None, use_errno=True)

# One packet on a wire. ports are 0 and icmp is None where they do not apply.
Packet = collections.namedtuple(
    "Packet", "time outgoing mac source destination protocol source_port destination_port icmp "
              "payload")


def inside(namespace, function):
    """function()'s result, called by a thread in the namespace of this full name."""
    outcome = {}

    def enter():
        try:
            with open(f"/run/netns/{namespace}", "rb") as file:
                if _libc.setns(file.fileno(), CLONE_NEWNET) != 0:
                    raise OSError(ctypes.get_errno(), f"setns {namespace}")
            outcome["value"] = function()
        except Exception as error:                   # handed to the caller, below
            outcome["error"] = error

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    if "error" in outcome:
        raise outcome["error"]
    return outcome["value"]


def udp_socket(namespace, address, port=0):
    """A UDP socket of a namespace, bound; of the family of its address."""
    def make():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET,
                             socket.SOCK_DGRAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        made.bind((address, port))
        return made
    return inside(namespace, make)


def tcp_listener(namespace, address, port):
    """A listening TCP socket of a namespace."""
    def make():
        made = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind((address, port))
        made.listen()
        return made
    return inside(namespace, make)


def tcp_connect(namespace, address, port, timeout=10, source=None):
    """A TCP socket of a namespace, connected; source: its own (address, port)."""
    return inside(namespace, lambda: socket.create_connection((address, port), timeout, source))


class Capture:
    """
    All that passes a device of a namespace between `with` and its end: packets(), in order. What
    the namespace itself sends is marked `outgoing`.
    """

    def __init__(self, namespace, device="eth0"):
        def make():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            made.bind((device, ETH_P_ALL))
            return made
        self._socket = inside(namespace, make)
        self._lock = threading.Lock()
        self._packets = []
        self._wake, self._woken = os.pipe()
        self._thread = threading.Thread(target=self._read, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        os.write(self._woken, b"x")
        self._thread.join()
        self._socket.close()
        os.close(self._wake)
        os.close(self._woken)

    def _read(self):
        while True:
            ready, _, _ = select.select([self._socket, self._wake], [], [])
            if self._socket not in ready:
                return
            frame, sender = self._socket.recvfrom(65600)
            if sender[2] == socket.PACKET_OTHERHOST:      # flooded by the bridge, not for us
                continue
            packet = parse(frame, sender[2] == socket.PACKET_OUTGOING)
            if packet:
                with self._lock:
                    self._packets.append(packet)

    def packets(self, **wanted):
        """Those whose fields equal `wanted`: packets(protocol=UDP, outgoing=False)."""
        with self._lock:
            found = list(self._packets)
        return [packet for packet in found
                if all(getattr(packet, field) == value for field, value in wanted.items())]


def parse(frame, outgoing=False):
    """A Packet from an Ethernet frame with IPv4 or IPv6 in it; else None. Fragments have no ports."""
    if len(frame) < 34:
        return None
    kind = struct.unpack_from("!H", frame, 12)[0]
    if kind == ETH_P_IP:
        header, protocol = 14 + (frame[14] & 15) * 4, frame[23]
        end = 14 + struct.unpack_from("!H", frame, 16)[0]
        source, destination = (socket.inet_ntop(socket.AF_INET, frame[at:at + 4])
                               for at in (26, 30))
        first = struct.unpack_from("!H", frame, 20)[0] & 0x1FFF == 0
    elif kind == ETH_P_IPV6 and len(frame) >= 54:
        header, protocol = 54, frame[20]
        end = 54 + struct.unpack_from("!H", frame, 18)[0]
        source, destination = (socket.inet_ntop(socket.AF_INET6, frame[at:at + 16])
                               for at in (22, 38))
        first = True
    else:
        return None
    inner = frame[header:end]
    ports, icmp, payload = (0, 0), None, b""
    if protocol == UDP and first and len(inner) >= 8:
        ports, payload = struct.unpack_from("!HH", inner), inner[8:]
    elif protocol in (ICMP, ICMPV6) and first and len(inner) >= 4:
        icmp, payload = (inner[0], inner[1]), inner[4:]
    return Packet(time.monotonic(), outgoing, frame[6:12].hex(":"), source, destination, protocol,
                  *ports, icmp, payload)


def send_frames(namespace, frames, device="eth0"):
    """Sends Ethernet frames as they are."""
    def make():
        made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        made.bind((device, 0))
        return made
    with inside(namespace, make) as raw:
        for frame in frames:
            raw.send(frame)


def mac(lab, name, device):
    """The MAC address of a device of a laboratory's namespace."""
    return lab.net.ip(name, "-o", "link", "show", device).stdout.split("link/ether ")[1].split()[0]
