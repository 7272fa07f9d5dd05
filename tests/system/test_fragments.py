# SPDX-License-Identifier: Apache-2.0
"""
Messages longer than a frame: calls whose SDP has 20 kB, both ways; pieces out of order, repeated
and by different queues; what is no message reaches the kernel whole; floods of pieces; path MTUs.
"""
import hashlib
import os
import random
import select
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from frames import (ETH_P_IPV6, FRAGMENT, ICMPV6, UDP, checksum, datagram, ethernet,  # noqa: E402
                    fragment, ipv4, ipv6, kind_of, packed, pieces, pseudo)
from harness import DRIVER, LabError, SystemTest, WORKERS, main, wait_for   # noqa: E402
from netns import ETH_P_ALL, inside, mac, udp_socket              # noqa: E402
from phone import Phone, SDP_TYPE, hang_up                        # noqa: E402

OTHER_PORT = 7777                     # of the virtual address: the kernel's
EXPIRED = 5                           # seconds after which no fragment waits any more


def sdp(size, seed):
    """A session description of so many bytes that no two calls share."""
    noise = random.Random(seed)
    head = b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n" \
           b"m=audio 4000 RTP/AVP 0\r\n"
    lines = [head]
    while sum(map(len, lines)) < size:
        lines.append(b"a=x-noise:" + noise.randbytes(30).hex().encode() + b"\r\n")
    return b"".join(lines)[:size]


class Injector:
    """
    Frames written by hand, from a host's wire to the appliance's first port: in_order, or over any
    queue.
    """

    def __init__(self, lab, host_name, in_order=False):
        self.lab, self.host = lab, lab.host(host_name)
        def make():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            made.bind(("eth0", ETH_P_ALL))
            return made
        self.socket = inside(self.host.namespace, make)
        self.source = mac(lab, host_name, "eth0")
        self.target = mac(lab, "appliance", "port0")
        self.cpus = sorted(os.sched_getaffinity(0))
        self.in_order, self.sent = in_order, 0

    def close(self):
        self.socket.close()

    def send(self, kind, packet, tags=b""):
        """One frame; they leave by one CPU, or by all in turn, and so by the queues (see spread)."""
        os.sched_setaffinity(0, {self.cpus[0 if self.in_order else self.sent % len(self.cpus)]})
        self.socket.send(ethernet(self.source, self.target, kind, packet, tags))
        os.sched_setaffinity(0, self.cpus)
        self.sent += 1

    def fragment(self, source, *piece):
        """One piece of a datagram from `source`: see frames.fragment()."""
        self.send(kind_of(source), fragment(source, *piece))


def spread(lab):
    """What a CPU sends to the appliance's first port leaves by the queue of its number."""
    if len(WORKERS) == 1:
        return
    lab.net.shell("switch", "".join(
        f"echo {1 << number:x} >/sys/class/net/appliance-port0/queues/tx-{number}/xps_cpus; "
        for number in range(len(WORKERS))))


class ScatteringPhone(Phone):
    """Its messages go in pieces of 400 bytes, some twice, in any order."""

    def __init__(self, injector, user, **more):
        super().__init__(injector.lab, injector.host.name, user, **more)
        self.injector = injector
        self.number = random.randrange(1 << 16)

    def send(self, data, target=None):
        target = target or self.target
        parts = pieces(datagram(self.address, target, data), 400)
        if len(parts) == 1:
            super().send(data, target)
            return
        repeated = random.sample(parts[:-1], min(5, len(parts) - 1))
        last = parts.pop(random.randrange(len(parts)))   # until it comes, all of them wait
        parts += [part for part in repeated if part is not last]
        random.shuffle(parts)
        self.number += 1
        for offset, more, part in [*parts, last]:
            self.injector.fragment(self.address[0], target[0], self.number, offset, more, part)


class Fragments(SystemTest):

    def setUp(self):
        self.before()

    def before(self):
        """
        Stats from when no piece waits: one that came by a slower queue than the rest of its message,
        and repeats what was joined by then, waits until it expires, beyond the end of its test.
        """
        def at_rest():
            now = laws.settled(self.lab)
            return None if now["fragments_waiting"] else now
        return wait_for(at_rest, 2 * EXPIRED, "the pieces of earlier messages to expire")

    def phone(self, kind, name, host, six):
        where = self.lab.host(host)
        made = kind(name, address=where.address6 if six else None)
        self.addCleanup(made.socket.close)
        made.register()
        self.known_everywhere(name)
        return made

    def phones(self, six, suffix):
        """A caller and a callee that are registered."""
        return [self.phone(lambda user, **more: Phone(self.lab, host, user, **more),
                           f"{user}{suffix}{4 + 2 * six}", host, six)
                for user, host in (("alice", "caller"), ("bob", "callee"))]

    def injector(self, host, in_order=False):
        made = Injector(self.lab, host, in_order)
        self.addCleanup(made.close)
        return made

    def big_call(self, alice, bob, size, seed):
        """An answered call with bodies of `size` bytes in INVITE and 200, ended by the callee."""
        offer, answer = sdp(size, seed), sdp(size + 1, -seed)
        call = alice.invite(bob.aor, body=offer)
        asked = bob.wait("INVITE", call)
        self.same(asked.body, offer)
        tag = f"t{seed}-{time.monotonic_ns():x}"
        bob.reply(asked, 200, "OK", tag, answer, [SDP_TYPE])
        ok = alice.wait(200, call, wanted=lambda m: "INVITE" in m.get("cseq"))
        self.same(ok.body, answer)
        call.learn(ok).ack()
        bob.wait("ACK", call)
        hang_up(bob.dialog_of(asked, tag), call)

    def same(self, got, wanted):
        self.assertEqual((len(got), hashlib.sha256(got).hexdigest()),
                         (len(wanted), hashlib.sha256(wanted).hexdigest()))

    def moved(self, before):
        return laws.check(self.lab).since(before)

    def test_1_calls(self):
        """SDP of 20 kB in INVITE and 200: no byte of a body changes, over IPv4 and IPv6."""
        for six in (False, True):
            alice, bob = self.phones(six, "calls")
            before = laws.check(self.lab)
            largest = 31000 if DRIVER == "af_packet" else 64000   # of what all headers leave
            for seed, size in enumerate((1300, 1420, 1500, 3000, 20000, 20001, largest), 1):
                self.big_call(alice, bob, size, seed + 100 * six)
            moved = self.moved(before)
            self.say(f"{'IPv6' if six else 'IPv4'}: {moved.get('fragments', 0)} fragments, "
                     f"{moved.get('reassembled', 0)} datagrams of them, "
                     f"{moved['sip_tx_fragmented']} sent in fragments")
            self.assertGreaterEqual(moved["sip_tx_fragmented"], 20)
            # Of IPv4 AF_PACKET's fanout leaves nothing to join.
            if six or DRIVER == "af_xdp":
                self.assertGreaterEqual(moved["reassembled"], 10)

    def test_2_scattered(self):
        """Pieces of 400 bytes in any order, some repeated, by all queues."""
        spread(self.lab)
        injector = self.injector("caller")
        queues = self.queues()
        for six in (False, True):
            alice = self.phone(lambda user, **more: ScatteringPhone(injector, user, **more),
                               f"scattered{six:d}", "caller", six)
            bob = self.phone(lambda user, **more: Phone(self.lab, "callee", user, **more),
                             f"gathered{six:d}", "callee", six)
            before = laws.check(self.lab)
            for seed in range(5):
                self.big_call(alice, bob, 20000, seed + 1000)
            moved = self.moved(before)
            if six or DRIVER == "af_xdp":
                self.assertGreaterEqual(moved["drop_fragment_repeated"], 20)
                self.assertGreaterEqual(moved["reassembled"], 5)
        after = self.queues()
        if len(WORKERS) > 1 and after:
            grown = [now - then for now, then in zip(after, queues)]
            self.say(f"frames by queue: {grown}")
            self.assertGreater(min(grown), 100, "all pieces came by one queue")

    def queues(self):
        """Frames that AF_XDP received by each queue of the first port; empty for others."""
        if DRIVER != "af_xdp":
            return []
        said = self.lab.exec("appliance", "ethtool", "-S", "port0", check=False).stdout
        return [int(line.split(":")[1]) for line in said.splitlines()
                if line.strip().startswith("rx_queue_") and "_xdp_packets" in line]

    def test_3_kernels(self):
        """Datagrams and pings in pieces to the virtual address, but not to a listener's port."""
        lab = self.lab
        for address in (lab.vip, lab.vip6):
            caller = lab.host("caller")
            done = lab.exec("caller", "ping", "-c", "3", "-i", "0.2", "-W", "2", "-s", "8000",
                            address)
            self.assertIn(" 0% packet loss", done.stdout)
            here = udp_socket(lab.namespace("appliance"), address, OTHER_PORT)
            there = udp_socket(caller.namespace, caller.address6 if ":" in address
                               else caller.address)
            with here, there:
                for size in (100, 1472, 1473, 5000, 20000, *((60000, 65400) if ":" in address
                                                            or DRIVER == "af_xdp" else ())):
                    sent = random.randbytes(size)
                    there.sendto(sent, (address, OTHER_PORT))
                    self.assertTrue(select.select([here], [], [], 3)[0], f"{size} bytes")
                    got, source = here.recvfrom(65535)
                    self.same(got, sent)
                    self.assertEqual(source[:2], there.getsockname()[:2])
        self.assertEqual(laws.check(lab)["tap_write_drop"], 0)

    def test_4_bad_pieces(self):
        """Pieces that contradict each other, or never all come, are no message; and are counted."""
        lab, vip = self.lab, self.lab.vip6
        injector = self.injector("caller", in_order=True)     # what contradicts must not come last
        alice = self.phone(lambda user, **more: Phone(lab, "caller", user, **more),
                           "contrary", "caller", True)
        ping = alice.make("OPTIONS", "sip:ping@example.net", extra=["Subject: " + 2000 * "x"])
        parts = pieces(datagram(alice.address, alice.target, ping), 400)
        self.assertGreater(len(parts), 4)
        tests = [
            ("drop_fragment_overlapped", len(parts) + 1,
             [(8, True, b"y" * 400), *parts]),
            ("drop_fragment_overlapped", len(parts) + 1,
             [*parts[:-1], (parts[-1][0] + 800, False, b"y" * 8), parts[-1]]),
            ("drop_fragment_invalid", 1, [(65528, False, b"y" * 16)]),
            ("drop_fragment_expired", len(parts) - 1, parts[1:]),
            ("drop_fragment_expired", len(parts) - 1, parts[:-1]),
        ]
        for number, (name, count, sent) in enumerate(tests):
            before = self.before()
            for piece in sent:
                injector.fragment(alice.address[0], vip, 70000 + number, *piece)
            try:
                after = wait_for(lambda: self.counted(before, name, count), 2 * EXPIRED, name)
            except LabError:
                self.fail(f"{name} is not {count}: {laws.Stats(lab).since(before)}")
            self.assertEqual(after.get("messages", 0), 0, name)
            self.assertEqual(alice.silent(0.1), None)
        damaged = bytearray(datagram(alice.address, alice.target, ping))
        damaged[1000] ^= 1
        before = laws.settled(lab)
        for piece in pieces(bytes(damaged), 400):
            injector.fragment(alice.address[0], vip, 80000, *piece)
        wait_for(lambda: self.counted(before, "drop_frame_checksum", 1), 3, "a bad checksum")
        # As it is, it is answered.
        for piece in reversed(parts):
            injector.fragment(alice.address[0], vip, 90000, *piece)
        alice.wait(200)

    def counted(self, before, name, count):
        moved = laws.Stats(self.lab).since(before)
        return moved if moved.get(name, 0) == count else None

    def too_big(self, injector, source, destination, mtu):
        """Packet Too Big about a datagram between two (address, port)s."""
        inner = datagram(source, destination, bytes(400))
        quoted = struct.pack("!IHBB", 6 << 28, 1400, UDP, 64) + packed(source[0]) + \
            packed(destination[0]) + inner
        router, us = injector.host.address6, self.lab.vip6
        message = struct.pack("!BBHI", 2, 0, 0, mtu) + quoted
        value = checksum(pseudo(router, us, ICMPV6, len(message)) + message)
        message = message[:2] + struct.pack("!H", value) + message[4:]
        injector.send(ETH_P_IPV6, ipv6(router, us, message, ICMPV6))

    def test_5_path_mtu(self):
        """What a router says of the path to a callee makes fragments shorter; what is no news, not."""
        lab = self.lab
        alice, bob = self.phones(True, "path")
        injector = self.injector("caller")

        def open_wire():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 8 << 20)
            made.bind(("eth0", ETH_P_ALL))
            return made

        def longest():
            """Of the fragments of a message to the callee: bytes of IP."""
            wire = inside(lab.host("callee").namespace, open_wire)
            with wire:
                self.big_call(alice, bob, 6000, 77)
                found = []
                while select.select([wire], [], [], 0)[0]:
                    frame = wire.recv(65600)
                    if frame[12:14] == b"\x86\xdd" and frame[20] == FRAGMENT \
                            and frame[22:38] == packed(lab.vip6):
                        found.append(len(frame) - 14)
            return max(found)

        self.assertGreater(longest(), 1480)
        before = laws.settled(lab)
        us = (lab.vip6, 5060)
        for source, mtu in ((us, 1279), (us, 1500), (us, 0), ((lab.vip6, 5061), 1300),
                            (("2001:db8:1::99", 5060), 1300)):
            self.too_big(injector, source, bob.address, mtu)
        self.too_big(injector, us, ("2001:db8:1::77", 5060), 1300)
        wait_for(lambda: self.counted(before, "path_mtus", 1), 3, "a path MTU to be learnt")
        self.assertGreater(longest(), 1480)
        before = laws.settled(lab)
        self.too_big(injector, us, bob.address, 1300)
        wait_for(lambda: self.counted(before, "path_mtus", 1), 3, "a path MTU to be learnt")
        self.assertLessEqual(longest(), 1300)
        self.assertGreater(longest(), 1280)

    def test_6_headers(self):
        """Tags, options and extension headers: passed over, or left to the kernel and counted."""
        lab = self.lab
        injector = self.injector("caller")
        # A wire has its tags in its frames; a veth whose sender may leave them beside them has not.
        lab.net.shell("switch", "ethtool -K appliance-port0 txvlan off >/dev/null")
        padding, alert = b"\x01\x04\0\0\0\0", b"\x05\x02\0\0\x01\0"
        udp = bytes([UDP, 0])
        answered = None                  # no counter: the message is taken
        tests = {4: [
            (answered, {}), (answered, {"tags": b"\x81\0\xa0\0"}),
            ("to_tap_vlan", {"tags": b"\x81\0\0\x05"}),
            ("to_tap_vlan", {"tags": b"\x81\0\0\x05\x81\0\0\x06"}),
            (answered, {"options": b"\x94\x04\0\0"}),
            ("to_tap_extended", {"options": b"\x83\x07\x04" + packed(lab.vip) + b"\0"}),
            (answered, {"unsummed": True}),
        ], 6: [
            (answered, {}), (answered, {"tags": b"\x81\0\xa0\0"}),
            ("to_tap_vlan", {"tags": b"\x81\0\0\x05"}),
            (answered, {"chain": (60, udp + padding)}),
            (answered, {"chain": (0, udp + alert)}),
            (answered, {"chain": (FRAGMENT, udp + bytes(6))}),
            ("to_tap_extended", {"chain": (43, udp + b"\0\x01" + bytes(4))}),
            ("to_tap_extended", {"chain": (60, udp + b"\xc1" + padding[1:])}),
            ("drop_frame_checksum", {"unsummed": True}),
        ]}
        for family, cases in tests.items():
            where = lab.host("caller")
            phone = Phone(lab, "caller", f"odd{family}",
                          address=where.address6 if family == 6 else None)
            self.addCleanup(phone.socket.close)
            for counter, how in cases:
                self.one_header(injector, phone, family, counter, dict(how))

    def one_header(self, injector, phone, family, counter, how):
        """One OPTIONS, dressed as told."""
        what = f"IPv{family} {how}"
        data = phone.make("OPTIONS", "sip:ping@example.net")
        bytes_ = datagram(phone.address, phone.target, data)
        if how.pop("unsummed", False):
            bytes_ = bytes_[:6] + b"\0\0" + bytes_[8:]
        before = laws.settled(self.lab)
        source, target = phone.address[0], phone.target[0]
        if family == 4:
            made = ipv4(source, target, bytes_, options=how.get("options", b""))
        else:
            first, chain = how.get("chain", (UDP, b""))
            made = ipv6(source, target, chain + bytes_, first)
        injector.send(kind_of(source), made, how.get("tags", b""))
        if counter is None:
            answer = phone.find(3, lambda m: m.status == 200)
            self.assertIsNotNone(answer, what)
        else:
            try:
                moved = wait_for(lambda: self.counted(before, counter, 1), 3, counter)
            except LabError as error:
                self.fail(f"{what}: {error}: {laws.Stats(self.lab).since(before)}")
            self.assertEqual(moved.get("messages", 0), 0, what)

    def test_7_flood(self):
        """Garbage in pieces between real calls: none fails, and all buffers come back."""
        lab = self.lab
        alice, bob = self.phones(True, "flood")
        self.big_call(alice, bob, 20000, 5)
        before = laws.check(lab)
        used = self.at_rest()
        injector = self.injector("caller")
        calls = self.place([("uac", "uas")], calls=200, rate=40, hold_ms=100, tag="frag",
                           port=6200)
        calls.wait_created(20)
        noise = random.Random(3)
        ends = time.monotonic() + 4
        while time.monotonic() < ends:
            for _ in range(50):
                self.garbage(injector, noise)
            time.sleep(0.01)
        self.big_call(alice, bob, 20000, 6)
        calls.finish()
        moved = self.before().since(before)
        lost = {name: value for name, value in moved.items() if name.startswith("drop_fragment")}
        self.say(f"{moved['fragments']} fragments; {lost}")
        self.assertGreater(moved["fragments"], 3000)
        after = self.at_rest()
        self.say(f"buffers: {used} before, {after} after")
        self.assertEqual(after[1], 0)
        # Frames that were sent come back when the next ones are: AF_XDP's ring holds some.
        self.assertLessEqual(after[0], used[0] + 2048)

    def at_rest(self):
        """Used buffers of both kinds, two readings of main's apart."""
        time.sleep(2.2)
        now = laws.settled(self.lab)
        return now["frame_buffers_used"], now["datagram_buffers_used"]

    def garbage(self, injector, noise):
        # IPv4's pieces are joined by the kernel where AF_PACKET is the driver, in 4 MB at most and
        # for 30 s: those of real messages find no room there after a flood. That is not ours.
        six = DRIVER == "af_packet" or noise.random() < 0.6
        source = f"2001:db8:1::{noise.randrange(1, 1 << 16):x}" if six else \
            f"192.0.2.{noise.randrange(30, 250)}"
        offset = noise.choice((0, 8, 1400, 8 * noise.randrange(8191)))
        injector.fragment(source, self.lab.vip6 if six else self.lab.vip, noise.randrange(1 << 16),
                          offset, noise.random() < 0.7,
                          noise.randbytes(noise.choice((8, 64, 1400, noise.randrange(1, 1400)))))


if __name__ == "__main__":
    main()
