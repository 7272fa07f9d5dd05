# SPDX-License-Identifier: Apache-2.0
"""
Noise: messages with wounds, random bytes, broken frames, pieces of datagrams that never are whole;
and the program that sends them at a rate. As a module it builds frames from a seed, and sends
nothing.

    noise.py DEVICE SECONDS {RATE FRAMES}…    sends; prints one line of JSON at the end

Of each file FRAMES so many a second are sent, over and over. A file of frames is each one behind its
length in two bytes. On every lap fragments get identifications, and marked messages Call-IDs, that
are new; checksums stay right.
"""
import ctypes
import json
import os
import socket
import struct
import sys
import time
from itertools import accumulate

sys.dont_write_bytecode = True

from frames import (ETH_P_IP, ETH_P_IPV6, FRAGMENT, ICMPV6, UDP, checksum, datagram,  # noqa: E402
                    ethernet, fragment, kind_of, packet, pieces, udp_frame)
from phone import compact                                         # noqa: E402
from sip import Message, host, request                            # noqa: E402

# Of a Call-ID, on each lap other letters: what the first half gains, the second loses, so that the
# sum stays what it was.
MARK = b"AAAAPPPP"
# What begins a call, as the call table counts. Their Call-IDs stay, so that a test can end them.
COUNTED = ("INVITE", "UPDATE", "PRACK", "INFO")
METHODS = (*COUNTED, "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "MESSAGE", "SUBSCRIBE",
           "NOTIFY", "PUBLISH", "REFER", "STRANGE")
FRAME_MAX = 1514
TCP, ICMP, ETH_P_ARP = 6, 1, 0x0806


# ---- Messages ----

def seeds(source, target):
    """Messages of every kind, to nobody: what comes of them must not ring a phone of a call."""
    vip = f"{host(target[0])}:{target[1]}"
    token = f"<sip:t1.AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA@{vip};lr>"
    made = []
    for method in METHODS:
        mark = "" if method in COUNTED else MARK.decode()
        for routes in ((), (token,), (token, token)):
            for tag in (None, "t2"):
                made.append(request(method, "sip:nobody@example.net", source, user="noise",
                                    call_id=f"noise-{len(made)}{mark}@{source[0]}", routes=routes,
                                    to_tag=tag, body=b"v=0\r\n" * (method in COUNTED)))
        made.append(request(method, "sip:nobody@example.net", source, user="noise",
                            call_id=f"noise-{len(made)}{mark}@{source[0]}",
                            extra=["Replaces: noise-1@x;to-tag=1;from-tag=2",
                                   "Refer-To: <sip:a@b?Replaces=noise-1%40x%3Bto-tag%3D1>"]))
    made += [compact(data) for data in made[::7]]
    for status in (100, 180, 200, 404, 481, 486):
        made.append(f"SIP/2.0 {status} Noise\r\n"
                    f"Via: SIP/2.0/UDP {vip};branch=z9hG4bK0123456789abcdef;tdm=AAAAAAAA\r\n"
                    f"Via: SIP/2.0/UDP {host(source[0])}:{source[1]};rport\r\n"
                    "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>;tag=2\r\nCall-ID: noise\r\n"
                    "CSeq: 1 INVITE\r\n\r\n".encode())
    made.append(struct.pack("!HHI", 1, 0, 0x2112A442) + b"0123456789ab")     # STUN
    return made


def mutate(dice, data, most=1400):
    """A copy with one to eight wounds, rather few; every eighth is nothing but random bytes."""
    if dice.random() < 0.125:
        return dice.randbytes(dice.choice((0, 1, 3, 20, 100, 500, most)))
    made = bytearray(data)
    for _ in range(dice.randint(1, dice.randint(1, 8))):
        at, kind = dice.randrange(len(made) + 1), dice.randrange(6)
        if kind == 0 and at < len(made):
            made[at] = dice.randrange(256)
        elif kind == 1:
            made[at:at] = dice.choice((b"\r\n", b":", b";", b",", b"<", b"\"", b"\0", b"=", b"@"))
        elif kind == 2:
            del made[at:at + dice.randint(1, 20)]
        elif kind == 3:
            made[at:at] = made[dice.randrange(len(made) + 1):][:dice.randint(1, 60)]
        elif kind == 4 and dice.random() < 0.3:
            del made[at:]
        elif kind == 5:
            start, *lines = bytes(made).split(b"\r\n")
            dice.shuffle(lines)
            made = bytearray(b"\r\n".join([start, *lines]))
    return bytes(made[:most])


def own(data, number):
    """The same with a Call-ID of its own."""
    return data.replace(b"noise-", b"noise-%d-" % number, 1)


def begins_call(data):
    return data.split(b" ", 1)[0].decode("ascii", "replace") in COUNTED


# ---- Frames ----

class Wire:
    """From where to where: MAC addresses, the sender's (address, port), the listener's."""

    def __init__(self, source_mac, target_mac, source, target):
        self.macs = source_mac, target_mac
        self.source, self.target = source, target

    def message(self, data, source=None):
        return udp_frame(*self.macs, source or self.source, self.target, data)

    def packet(self, data, protocol=UDP):
        return self.frame(packet(self.source[0], self.target[0], data, protocol))

    def frame(self, data, tags=b"", kind=None):
        return ethernet(*self.macs, kind or kind_of(self.source[0]), data, tags)


def in_pieces(dice, wire, messages):
    """Frames of one datagram that is never whole, or whole but contradictory, or in tiny pieces."""
    data = b"".join(dice.choices(messages, k=dice.randint(2, 5)))
    whole = datagram(wire.source, wire.target, data)
    parts = pieces(whole, dice.choice((400, 1000, 1400)))
    how = dice.randrange(7)
    if how == 0:
        parts = parts[:-1]                                       # never ends
    elif how == 1:
        parts = parts[1:]                                        # never begins
    elif how == 2:
        at = dice.randrange(len(parts))
        parts.insert(at, (max(0, parts[at][0] - 8), True, dice.randbytes(200)))     # overlaps
    elif how == 3:
        parts += dice.choices(parts, k=3)                        # repeated, out of order
        dice.shuffle(parts)
    elif how == 4:
        parts = [*pieces(whole[:96], 8), *parts[1:]]             # tiny
        parts = [(at, True, piece) if at < 96 else (at, more, piece) for at, more, piece in parts]
    elif how == 5:
        parts = [(dice.choice((0, 8, 1400, 65528)), dice.random() < 0.5,
                  dice.randbytes(dice.choice((0, 1, 7, 8, 1400))))]
    number = dice.randrange(1 << 16)
    return [wire.frame(fragment(wire.source[0], wire.target[0], number, *part)) for part in parts]


def broken(dice, wire, data):
    """A frame with a message whose headers are no longer true."""
    frame = bytearray(wire.message(data))
    how = dice.randrange(5)
    if how == 0:                                                 # cut, down to the EtherType
        return bytes(frame[:dice.randrange(14, len(frame))])
    if how == 1:                                                 # longer than it says
        return bytes(frame + dice.randbytes(200))[:FRAME_MAX]
    if how == 2:
        return wire.frame(bytes(frame[14:]), dice.choice((
            b"\x81\0\0\x05", b"\x88\xa8\0\x05\x81\0\0\x06", b"\x81\0" * 6)))
    for _ in range(dice.randint(1, 4)):
        frame[dice.randrange(12, min(62, len(frame)))] = dice.randrange(256)
    if how == 3 and frame[12:14] == b"\x08\0":                   # and the header's sum is right
        frame[24:26] = b"\0\0"
        frame[24:26] = struct.pack("!H", checksum(bytes(frame[14:34])))
    return bytes(frame)


def others(dice, wire):
    """A frame for the kernel, or for nobody."""
    junk = dice.randbytes(dice.choice((0, 4, 8, 60, 1000)))
    how = dice.randrange(5)
    if how == 0:                                                 # SYN to the SIP port, or garbage
        segment = struct.pack("!HHIIBBHHH", dice.randrange(1024, 65536), 5060, 1, 0, 0x50, 2,
                              1000, 0, 0)
        return wire.packet(dice.choice((segment, junk)), TCP)
    if how == 1:
        six = ":" in wire.source[0]
        return wire.packet(bytes([dice.randrange(256), dice.randrange(4)]) + junk,
                           ICMPV6 if six else ICMP)
    if how == 2:
        return wire.packet(junk, dice.randrange(256))
    if how == 3:                                                 # of a hardware that is none
        return wire.frame(struct.pack("!HHBB", 0x7777, ETH_P_IP, 6, 4) + junk, kind=ETH_P_ARP)
    return wire.frame(junk, kind=dice.choice((0x0060, 0x86DD, 0x0800, 0x88CC, 0x9999)))


def full_speed(dice, wires, corpus=()):
    """
    Frames of every kind over each Wire, and the messages among them that begin calls. corpus: more
    messages to be wounded.
    """
    frames, calls = [], []
    for wire in wires:
        sound = seeds(wire.source, wire.target)
        made = [mutate(dice, own(dice.choice(sound), number)) for number in range(3000)]
        made += [mutate(dice, dice.choice(corpus)) for _ in range(500) if corpus] + sound
        calls += [data for data in made if begins_call(data)]
        frames += [wire.message(data) for data in made]
        # From where nobody is: their answers wait for a neighbour in vain.
        for number in range(200, 216):
            nobody = wire.source[0].rpartition("." if "." in wire.source[0] else ":")
            frames.append(wire.message(dice.choice(sound[-40:]),
                                       (f"{nobody[0]}{nobody[1]}{number}", 5060)))
        frames += [broken(dice, wire, dice.choice(made)) for _ in range(700)]
        frames += [others(dice, wire) for _ in range(150)]
        for _ in range(300):
            frames += in_pieces(dice, wire, made)
    dice.shuffle(frames)
    return [frame for frame in frames if len(frame) <= FRAME_MAX], calls


def paced(dice, wires, count):
    """
    Frames of messages to the listener of real calls, and the messages among them that begin calls:
    none of these has a To-tag.
    """
    frames, calls = [], []
    for wire in wires:
        sound = seeds(wire.source, wire.target)
        for number in range(count // len(wires)):
            data = mutate(dice, own(dice.choice(sound), number))
            if begins_call(data):
                if Message(data).to_tag:
                    continue
                calls.append(data)
            frames.append(wire.message(data))
    return frames, calls


def write(path, frames):
    path.write_bytes(b"".join(struct.pack("!H", len(frame)) + frame for frame in frames))


# ---- The program ----

NAP_S = 0.0005
BURST = 64           # frames at most that are made up for at once, after a while without the CPU


class IoVector(ctypes.Structure):
    _fields_ = [("base", ctypes.c_void_p), ("length", ctypes.c_size_t)]


class MessageHeader(ctypes.Structure):
    """struct msghdr."""
    _fields_ = [("name", ctypes.c_void_p), ("name_length", ctypes.c_uint),
                ("vectors", ctypes.POINTER(IoVector)), ("n_vectors", ctypes.c_size_t),
                ("control", ctypes.c_void_p), ("control_length", ctypes.c_size_t),
                ("flags", ctypes.c_int)]


class Header(ctypes.Structure):
    """struct mmsghdr. Its first part has a length of its own, with room at its end."""
    _fields_ = [("message", MessageHeader), ("sent", ctypes.c_uint)]


class Sender:
    """Frames in memory that the kernel reads, sent in turn and in bursts as the clock owes them."""

    def __init__(self, raw, rate, path):
        data = open(path, "rb").read()
        self.raw, self.memory, self.starts = raw, bytearray(data), []
        self.rate, self.owed, self.then = rate, 0, time.monotonic()
        self.sent = self.refused = self.next = self.laps = 0
        at = 0
        while at < len(data):
            length, = struct.unpack_from("!H", data, at)
            self.starts.append((at + 2, length))
            at += 2 + length
        base = ctypes.addressof(ctypes.c_char.from_buffer(self.memory)) if data else 0
        self.vectors = (IoVector * len(self.starts))(
            *[(base + at, length) for at, length in self.starts])
        self.headers = (Header * len(self.starts))()
        for number, header in enumerate(self.headers):
            header.message.vectors = ctypes.pointer(self.vectors[number])
            header.message.n_vectors = 1
        self.marks = [at for at in (data.find(MARK, start, start + length)
                                    for start, length in self.starts) if at >= 0]
        self.numbers = [(at, self.fields(at)) for at, length in self.starts
                        if length >= 62 and self.fields(at)]
        self.fours = list(accumulate((length >= 34 and self.is_four(at)
                                      for at, length in self.starts), initial=0))
        self.libc = ctypes.CDLL(None, use_errno=True)

    def is_four(self, at):
        """A piece of an IPv4 datagram."""
        kind, = struct.unpack_from("!H", self.memory, at + 12)
        return kind == ETH_P_IP and struct.unpack_from("!H", self.memory, at + 20)[0] & 0x3FFF != 0

    def fields(self, at):
        """Of a fragment at this place: where its number is, the format, the number, the sum."""
        kind, = struct.unpack_from("!H", self.memory, at + 12)
        if kind == ETH_P_IPV6 and self.memory[at + 20] == FRAGMENT:
            return at + 58, "!I", struct.unpack_from("!I", self.memory, at + 58)[0], None
        if self.is_four(at):
            return at + 18, "!H", *struct.unpack_from("!H4xH", self.memory, at + 18)
        return None

    def sent_fours(self):
        """How many of what was sent were pieces of IPv4 datagrams."""
        return (self.laps - (self.next > 0)) * self.fours[-1] + self.fours[self.next]

    def begin_lap(self):
        self.laps += 1
        lap = self.laps
        digits = [lap >> 4 * place & 15 for place in range(4)]
        mark = bytes([65 + digit for digit in digits] + [80 - digit for digit in digits])
        for at in self.marks:
            self.memory[at:at + len(MARK)] = mark
        for _, (at, form, number, total) in self.numbers:
            if total is None:
                struct.pack_into(form, self.memory, at, (number + lap) & 0xFFFFFFFF)
                continue
            now = (number + lap) & 0xFFFF
            struct.pack_into(form, self.memory, at, now)
            total += number - now                    # RFC 1624, in ones' complement
            struct.pack_into("!H", self.memory, at + 6, (total + (total >> 16)) & 0xFFFF)

    def send(self, now):
        """What is due by now, or as much of it as one call sends."""
        self.owed = min(self.owed + (now - self.then) * self.rate, BURST)
        self.then = now
        if self.owed < 1:
            return
        if self.next == 0:
            self.begin_lap()
        count = min(int(self.owed), len(self.starts) - self.next)
        done = self.libc.sendmmsg(self.raw.fileno(), ctypes.byref(
            self.headers, self.next * ctypes.sizeof(Header)), count, 0)
        if done <= 0:
            done = 1
            self.refused += 1
        else:
            self.sent += done
        self.owed -= done
        self.next = (self.next + done) % len(self.starts)


def run(device, seconds, *streams):
    """streams: (frames a second, path)s."""
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    raw.bind((device, 0))
    senders = [Sender(raw, rate, path) for rate, path in streams]
    begun = now = time.monotonic()
    while now < begun + seconds:
        for sender in senders:
            sender.send(now)
        time.sleep(NAP_S)
        now = time.monotonic()
    print(json.dumps({"sent": sum(sender.sent for sender in senders),
                      "refused": sum(sender.refused for sender in senders),
                      "fours": sum(sender.sent_fours() for sender in senders),
                      "seconds": now - begun}), flush=True)
    os._exit(0)        # ctypes' view of the memory would be in the way of its end


if __name__ == "__main__":
    run(sys.argv[1], float(sys.argv[2]),
        *((float(rate), path) for rate, path in zip(sys.argv[3::2], sys.argv[4::2])))
