# SPDX-License-Identifier: Apache-2.0
"""
Packets and frames written by hand: IPv4 and IPv6, whole, in pieces, or with lengths that lie. It
sends nothing and knows no namespace; the family is that of the addresses it is given.
"""
import ipaddress
import random
import struct

ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
ICMP, UDP, ICMPV6 = 1, 17, 58
FRAGMENT = 44                         # IPv6's header


def packed(address):
    return ipaddress.ip_address(address).packed


def checksum(data):
    total = sum(struct.unpack(f"!{(len(data) + 1) // 2}H", data + b"\0" * (len(data) % 2)))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


def pseudo(source, destination, protocol, length):
    return packed(source) + packed(destination) + struct.pack("!HH", protocol, length)


def datagram(source, destination, payload):
    """The bytes of a UDP datagram between (address, port)s, with its checksum."""
    length = 8 + len(payload)
    header = struct.pack("!HHHH", source[1], destination[1], length, 0)
    value = checksum(pseudo(source[0], destination[0], UDP, length) + header + payload) or 0xFFFF
    return struct.pack("!HHHH", source[1], destination[1], length, value) + payload


def ipv4(source, destination, data, number=0, flags=0, options=b"", protocol=UDP):
    """A packet; flags: the 16 bits of flags and offset."""
    header = 20 + len(options)
    front = struct.pack("!BBHHHBBH", 0x40 | header // 4, 0, header + len(data), number, flags,
                        64, protocol, 0)
    front += packed(source) + packed(destination) + options
    return front[:10] + struct.pack("!H", checksum(front)) + front[12:] + data


def ipv6(source, destination, data, protocol=UDP):
    """A packet. Flow labels that differ spread the pieces over AF_PACKET's queues, too."""
    front = struct.pack("!IHBB", 6 << 28 | random.randrange(1 << 20), len(data), protocol, 64)
    return front + packed(source) + packed(destination) + data


def kind_of(address):
    """The EtherType of an address's family."""
    return ETH_P_IPV6 if ":" in address else ETH_P_IP


def packet(source, destination, data, protocol=UDP):
    """A packet of the addresses' family."""
    if ":" in source:
        return ipv6(source, destination, data, protocol)
    return ipv4(source, destination, data, protocol=protocol)


def pieces(data, size):
    """[(offset, more, bytes)] of a datagram, in order."""
    return [(at, at + size < len(data), data[at:at + size]) for at in range(0, len(data), size)]


def fragment(source, destination, number, offset, more, data):
    """A packet with one piece of datagram `number`; offset in bytes, data as it is."""
    if ":" in source:
        header = struct.pack("!BBHI", UDP, 0, offset | more, number)
        return ipv6(source, destination, header + data, FRAGMENT)
    return ipv4(source, destination, data, number & 0xFFFF, more << 13 | offset // 8)


def ethernet(source_mac, target_mac, kind, data, tags=b""):
    """A frame; MAC addresses as text."""
    macs = bytes.fromhex((target_mac + source_mac).replace(":", ""))
    return macs + tags + struct.pack("!H", kind) + data


def udp_frame(source_mac, target_mac, source, destination, payload):
    """A frame with a UDP datagram between (address, port)s."""
    return ethernet(source_mac, target_mac, kind_of(source[0]),
                    packet(source[0], destination[0], datagram(source, destination, payload)))


def unreachable(sender, source, destination, payload):
    """A packet in which `sender` says that a datagram between (address, port)s met a closed port."""
    quoted = packet(source[0], destination[0], datagram(source, destination, payload))
    if ":" in sender:
        message = struct.pack("!BBHI", 1, 4, 0, 0) + quoted
        value = checksum(pseudo(sender, source[0], ICMPV6, len(message)) + message)
    else:
        message = struct.pack("!BBHI", 3, 3, 0, 0) + quoted
        value = checksum(message)
    message = message[:2] + struct.pack("!H", value) + message[4:]
    return packet(sender, source[0], message, ICMPV6 if ":" in sender else ICMP)
