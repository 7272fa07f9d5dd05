# SPDX-License-Identifier: Apache-2.0
"""
Mode direct: backends that hold the virtual address themselves get every datagram as it came, by
their MAC addresses or inside IP, and answer past Tandem.
"""
import select
import socket
import struct
import sys
import time

sys.dont_write_bytecode = True

import laws                                                       # noqa: E402
from frames import checksum, datagram, packed                     # noqa: E402
from harness import ROOT, SystemTest, main, seen, wait_for        # noqa: E402
from netns import ETH_P_ALL, ETH_P_IP, ETH_P_IPV6, UDP, Capture, inside   # noqa: E402
from phone import SDP_TYPE, Phone, hang_up                        # noqa: E402
from sip import Message                                           # noqa: E402
from test_fragments import Injector, sdp                          # noqa: E402

FLOWS = [("uac", "uas"), ("uac_wait_bye", "uas_bye"), ("uac_retransmit", "uas"),
         ("uac_cancel", "uas_cancel"), ("uac_busy", "uas_busy")]
TUNNEL_END = ROOT / "tests/system/tunnel_end.py"
PRIORITY = b"\x81\0\xa0\0"               # a tag of VLAN 0
ALERT = b"\x94\x04\0\0"                  # an IPv4 option
PADDING = bytes([UDP, 0]) + b"\x01\x04\0\0\0\0"    # an IPv6 header of destination options
DF = 0x4000


def mac_of(lab, name, device="eth0"):
    said = lab.net.ip(name, "-o", "link", "show", device).stdout
    return said.split("link/ether ")[1].split()[0]


class Wire:
    """Raw frames of a device, from now on."""

    def __init__(self, namespace, device):
        def make():
            made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
            made.bind((device, ETH_P_ALL))
            return made
        self.socket = inside(namespace, make)

    def frames(self):
        """Those that came and were not asked for yet."""
        while select.select([self.socket], [], [], 0)[0]:
            frame, sender = self.socket.recvfrom(65600)
            if sender[2] != socket.PACKET_OUTGOING:
                yield frame


def ipv4(source, target, data, ttl=9, options=b"", flags=0):
    """The bytes of a packet; TTL and identification are no default of anybody's."""
    header = 20 + len(options)
    front = struct.pack("!BBHHHBBH", 0x40 | header // 4, 0xB8, header + len(data), 0x77AA, flags,
                        ttl, UDP, 0) + packed(source) + packed(target) + options
    return front[:10] + struct.pack("!H", checksum(front)) + front[12:] + data


def ipv6(source, target, data, hops=9, chain=b""):
    return struct.pack("!IHBB", 6 << 28 | 0xB8 << 20 | 0x12345, len(chain) + len(data),
                       60 if chain else UDP, hops) + packed(source) + packed(target) + chain + data


class Direct:
    """What holds however the datagrams get there; `reach` makes the backends and their way."""

    addresses = {}           # of the backends, as the configuration says them
    device = "eth0"          # of a backend, on which a datagram arrives as its sender made it
    ether = 14               # bytes in front of it there
    encapsulation = "none"
    node_address = None

    @classmethod
    def prepare(cls, lab):
        lab.n_backends = 0                                  # reach() makes them
        service, = lab.config["services"]
        del service["domains"]
        service.update(mode="direct", encapsulation=cls.encapsulation)
        lab.config["pools"][0]["backends"] = [
            {"name": name, "address": address, "port": 5060, "weight": 100}
            for name, address in cls.addresses.items()]
        if cls.node_address:
            lab.config["node_address"] = cls.node_address

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        lab = cls.lab
        cls.answerers = cls.reach(lab)
        for name in cls.addresses:
            lab.add_backend(name, start=False).held = (lab.vip, lab.vip6)
        for backend in lab.backends.values():
            backend.start(wait=False)
        for backend in lab.backends.values():
            backend.wait_ready()

    @classmethod
    def hold(cls, lab, name, device):
        """The README's lines: the address is there, and no ARP tells of it."""
        lab.net.shell(name, "sysctl -q net.ipv4.conf.all.arp_ignore=1 "
                            "net.ipv4.conf.all.arp_announce=2 net.ipv4.conf.all.rp_filter=0 "
                            "net.ipv4.conf.default.rp_filter=0 net.ipv4.conf.eth0.rp_filter=0")
        if device:
            lab.net.ip(name, "addr", "add", f"{lab.vip}/32", "dev", device)
            lab.net.ip(name, "addr", "add", f"{lab.vip6}/128", "dev", device, "nodad")

    def ends(self, six):
        caller, callee = self.lab.host("caller"), self.lab.host("callee")
        return {"address": caller.address6 if six else None,
                "callee_address": callee.address6 if six else None}

    def known_everywhere(self, user):
        for backend in self.lab.backends.values():
            def learnt():
                try:
                    return backend.rpc("ul.lookup", "location", user)["Contacts"]
                except Exception:              # not found is an error of the RPC
                    return None
            wait_for(learnt, 10, f"{backend.name} to learn {user}")

    def phones(self, name, six):
        """A caller and a callee that every backend knows."""
        made = []
        for host in ("caller", "callee"):
            where = self.lab.host(host)
            phone = Phone(self.lab, host, f"{host}-{name}{4 + 2 * six}",
                          address=where.address6 if six else None)
            self.addCleanup(phone.socket.close)
            phone.register()
            self.known_everywhere(f"{phone.user}@{self.lab.domain}")
            made.append(phone)
        return made

    def test_1_address(self):
        """The virtual address is Tandem's on the wire, though all backends have it."""
        lab = self.lab
        mine = mac_of(lab, "appliance", "port0")
        for address in (lab.vip, lab.vip6):
            for _ in range(3):
                lab.net.ip("caller", "neigh", "flush", "dev", "eth0")
                lab.exec("caller", "ping", "-c", "1", "-W", "2", address)
                said = lab.net.ip("caller", "neigh", "show", address).stdout
                self.assertIn(mine, said)

    def test_2_calls(self):
        """Calls of every kind: one backend each, which answers the phones itself."""
        lab = self.lab
        before = laws.check(lab)
        with Capture(lab.host("caller").namespace) as wire:
            runs = {six: self.place(FLOWS, calls=150, rate=40, tag=f"direct{4 + 2 * six}",
                                    port=6100 + 100 * six, **self.ends(six))
                    for six in (False, True)}
            for calls in runs.values():
                calls.finish()
            packets = wire.packets(protocol=UDP, outgoing=False)
        for six, calls in runs.items():
            came = [packet for packet in packets if packet.source == (lab.vip6 if six else lab.vip)]
            by_call = calls.seen()
            self.assertEqual(len(by_call), 150)
            self.assert_one_backend(by_call)
            shares = self.shares(by_call)
            self.assertGreater(min(shares.values()), 20, shares)
            self.assertGreater(len(came), 400)
            self.assertLessEqual({packet.mac for packet in came}, self.answerers,
                                 "something came to a phone by Tandem")
            self.say(f"IPv{4 + 2 * six}: {shares}; answers to the callers from "
                     f"{len({packet.mac for packet in came})} MAC address(es), {len(came)} frames")
        moved = laws.check(lab).since(before)
        # Responses: the callees' alone, for at least each INVITE's end; nothing of ours.
        self.assertGreater(moved["verdict_forwarded_response"], 2 * 150)
        self.assertEqual(moved.get("replied", 0) + moved.get("dropped", 0), 0, moved)

    def packets(self, six):
        """(what, tag in front, IP packet, bytes behind it): OPTIONS, each of a call of its own."""
        lab = self.lab
        where = lab.host("caller")
        source = (where.address6 if six else where.address, 5097)
        target = (lab.vip6 if six else lab.vip, 5060)
        with Phone(lab, "caller", "raw", 5098, address=source[0]) as phone:
            def ping(size=0):
                data = phone.make("OPTIONS", "sip:ping@example.net")
                more = b"Subject: " + b"x" * max(0, size - len(data) - 11) + b"\r\n"
                return datagram(source, target, data.replace(b"Contact:", more + b"Contact:"))

            def ip(data, **how):
                return (ipv6 if six else ipv4)(source[0], target[0], data, **how)

            yield "plain", b"", ip(ping()), b""
            yield "of a tag", PRIORITY, ip(ping()), b""
            yield "with bytes behind it", b"", ip(ping()), b"behind" * 5
            yield "as long as the wire takes", b"", ip(ping(1500 - (48 if six else 28))), b""
            if six:
                yield "with a header between", b"", ip(ping(), chain=PADDING), b""
            else:
                yield "with an option", b"", ip(ping(), options=ALERT), b""
                yield "not to be cut", b"", ip(ping(), flags=DF), b""
                data = ping()
                yield "without a checksum", b"", ip(data[:6] + b"\0\0" + data[8:]), b""

    def test_3_as_it_came(self):
        """Each byte from the IP header on reaches one backend, whatever is around it."""
        lab = self.lab
        lab.net.shell("switch", "ethtool -K appliance-port0 txvlan off >/dev/null")
        injector = Injector(lab, "caller")
        self.addCleanup(injector.close)
        wires = {name: Wire(backend.host.namespace, self.device)
                 for name, backend in lab.backends.items()}
        used = set()
        for six in (False, True):
            for what, tag, packet, behind in self.packets(six):
                injector.send(ETH_P_IPV6 if six else ETH_P_IP, packet + behind, tag)
                got = []

                def arrived():
                    got.extend((name, frame) for name, wire in wires.items()
                               for frame in wire.frames() if packet[-40:] in frame)
                    return got
                wait_for(arrived, 5, f"IPv{4 + 2 * six} {what} to arrive")
                (name, frame), = got
                used.add(name)
                self.assertEqual(frame[self.ether:], packet, f"IPv{4 + 2 * six} {what}")
                self.check_frame(name, frame)
        self.assertGreater(len(used), 1, f"all at {used}")
        for wire in wires.values():
            wire.socket.close()

    def check_frame(self, name, frame):
        """What is in front of the packet."""

    def test_4_long_bodies(self):
        """SDP of 20 kB both ways: the fragments find the backend as one message, byte for byte."""
        for six in (False, True):
            alice, bob = self.phones("long", six)
            before = laws.check(self.lab)
            for seed, size in enumerate((1300, 1400, 1450, 3000, 20000), 1):
                offer, answer = sdp(size, seed), sdp(size + 1, -seed)
                call = alice.invite(bob.aor, body=offer)
                asked = bob.wait("INVITE", call)
                self.assertEqual(asked.body, offer)
                bob.reply(asked, 200, "OK", "long", answer, [SDP_TYPE])
                ok = alice.wait(200, call, wanted=lambda m: "INVITE" in m.get("cseq"))
                self.assertEqual(ok.body, answer)
                call.learn(ok).ack()
                bob.wait("ACK", call)
                hang_up(bob.dialog_of(asked, "long"), call)
            moved = laws.check(self.lab).since(before)
            self.assertGreaterEqual(moved["sip_tx_fragmented"], 4)
            self.say(f"IPv{4 + 2 * six}: {moved.get('reassembled', 0)} datagrams joined, "
                     f"{moved['sip_tx_fragmented']} sent in fragments")

    def test_5_drain(self):
        """A backend that drains keeps its calls to their end, and gets no new one."""
        lab = self.lab
        first = self.place(FLOWS[:2], calls=40, rate=40, hold_ms=3000, tag="before", port=6300)
        first.wait_created(40)
        wait_for(lambda: len(seen(lab, lambda call: "-before-" in call)) == 40, 10, "40 calls")
        self.assertEqual(lab.ctl("drain", "kam1")[0], 0)
        lab.wait_acknowledged()
        try:
            then = self.place(FLOWS[:2], calls=40, rate=40, hold_ms=100, tag="after", port=6320)
            then.finish()
            first.finish()
            self.assert_one_backend(first.seen())
            self.assertGreater(self.shares(first.seen())["kam1"], 3)
            self.assert_one_backend(then.seen())
            shares = self.shares(then.seen())
            self.assertEqual(shares.pop("kam1"), 0)
            self.assertGreater(min(shares.values()), 3)
        finally:
            self.assertEqual(lab.ctl("enable", "kam1")[0], 0)
            lab.wait_acknowledged()

    def test_6_unknown_neighbour(self):
        """Messages wait for their backend's MAC address, and then go there."""
        lab = self.lab
        with Phone(lab, "caller", "held") as phone:
            before = laws.settled(lab)
            for _ in range(20):
                for tap in range(lab.ports):
                    lab.net.ip("appliance", "neigh", "flush", "dev", f"tandem{tap}")
                time.sleep(0.15)         # until Tandem has heard it, and before it asks again
                data = phone.make("OPTIONS", "sip:ping@example.net")
                phone.send(data)
                answer = phone.wait(200)
                self.assertIn(answer.get("server"), lab.backends)
                moved = laws.settled(lab).since(before)
                if moved.get("held_tx", 0) >= 3:
                    break
            self.assertGreaterEqual(moved.get("held_tx", 0), 3)
            self.assertEqual(moved.get("held_dropped", 0), 0)


class SameSegment(Direct, SystemTest):
    """By MAC address: callers, callees, backends and Tandem on one wire."""

    options = {"ports": 1}
    addresses = {f"kam{n}": f"192.0.2.4{n}" for n in (1, 2, 3)}
    node_address = "192.0.2.11"

    @classmethod
    def prepare(cls, lab):
        """Asked for its MAC address from the virtual one, a backend would take it for its own."""
        super().prepare(lab)
        addresses = lab.config["dataplane"]["ports"][0]["addresses"]
        addresses[:2] = [f"{cls.node_address}/24", f"{lab.vip}/32", f"{lab.vip6}/64"]

    @classmethod
    def reach(cls, lab):
        for name, address in cls.addresses.items():
            lab.host(name, address)
            cls.hold(lab, name, "lo")
        return {mac_of(lab, name) for name in cls.addresses}

    def check_frame(self, name, frame):
        self.assertEqual(frame[:6].hex(":"), mac_of(self.lab, name))
        self.assertEqual(frame[6:12].hex(":"), mac_of(self.lab, "appliance", "port0"))

    def test_7_behind_a_gateway(self):
        """A backend that is no neighbour gets nothing: its gateway would send it back to us."""
        lab = self.lab
        net = lab.net
        net.ip("appliance", "route", "add", "192.0.2.43/32", "via", "192.0.2.41", "dev", "tandem0")
        try:
            with Phone(lab, "caller", "lost") as phone:
                time.sleep(0.2)          # until Tandem has heard of the route
                before = laws.settled(lab)
                asked = [phone.make("OPTIONS", "sip:ping@example.net") for _ in range(24)]
                for data in asked:
                    phone.send(data)
                calls = {Message(data).get("call-id") for data in asked}
                wait_for(lambda: laws.Stats(lab).since(before).get("messages", 0) == 24, 5,
                         "24 messages")
                lost = laws.settled(lab).since(before).get("sip_no_route", 0)
                self.assertGreater(lost, 0)

                def arrived():
                    return seen(lab, lambda call: call in calls)
                wait_for(lambda: len(arrived()) == 24 - lost, 5, f"all but {lost} to arrive")
                self.assertEqual(self.shares(arrived())["kam3"], 0)
        finally:
            net.ip("appliance", "route", "del", "192.0.2.43/32")


class Tunnel(Direct, SystemTest):
    """Inside IP: two backends on the wire of a second port, and one behind a router."""

    options = {"ports": 2}
    addresses = {"kam1": "10.0.0.11", "kam2": "10.0.0.12", "kam3": "10.0.1.13"}
    device, ether = "tun0", 0
    encapsulation = "ipip"
    node_address = "10.0.0.1"

    @classmethod
    def reach(cls, lab):
        net = lab.net
        net.add("router")
        net.bridge("switch", "far")
        for device, bridge, four, six in (
                ("eth0", "outside", "192.0.2.254", "2001:db8:1::fe"),
                ("eth1", "inside", "10.0.0.254", "fd00:10::fe"),
                ("eth2", "far", "10.0.1.254", "fd00:11::fe")):
            net.plug("router", bridge, device)
            net.address("router", f"{four}/24", device)
            net.address("router", f"{six}/64", device)
        net.shell("router", "sysctl -q net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1")
        for name in ("kam1", "kam2"):
            lab.host(name, f"10.0.0.1{name[3]}", "inside")
        far = lab.host("kam3", "10.0.1.13", "far")
        net.ip("kam3", "addr", "del", f"{far.address6}/64", "dev", "eth0")
        net.address("kam3", "fd00:11::13/64")
        far.address6 = "fd00:11::13"
        for name, link in (("kam1", ("10.0.0", "fd00:10:")), ("kam2", ("10.0.0", "fd00:10:")),
                           ("kam3", ("10.0.1", "fd00:11:"))):
            net.ip(name, "route", "replace", "default", "via", f"{link[0]}.254")
            net.ip(name, "-6", "route", "replace", "default", "via", f"{link[1]}:fe")
            cls.hold(lab, name, None)
            lab.popen(name, sys.executable, TUNNEL_END, cls.device, lab.vip, lab.vip6,
                      name=f"tunnel-{name}").wait_line("^ready", 10)
        net.ip("appliance", "route", "add", "10.0.1.0/24", "via", "10.0.0.254", "dev", "tandem1")
        net.ip("appliance", "-6", "route", "add", "fd00:11::/64", "via", "fd00:10::fe",
               "dev", "tandem1")
        return {mac_of(lab, "router")}

    def test_7_outer_header(self):
        """From node_address to the backend, not to be kept whole, with the message's class."""
        lab = self.lab
        injector = Injector(lab, "caller")
        self.addCleanup(injector.close)
        wires = {name: Wire(backend.host.namespace, "eth0")
                 for name, backend in lab.backends.items()}
        for six in (False, True):
            for _ in range(3):
                what, _, packet, _ = next(self.packets(six))
                injector.send(ETH_P_IPV6 if six else ETH_P_IP, packet)
                got = []

                def arrived():
                    got.extend((name, frame) for name, wire in wires.items()
                               for frame in wire.frames() if frame.endswith(packet))
                    return got
                wait_for(arrived, 5, "a tunnel's packet")
                (name, frame), = got
                hops = 64 - (name == "kam3")             # a router on the way
                self.check_outer(frame[14:-len(packet)], name, hops, 41 if six else 4)
        for wire in wires.values():
            wire.socket.close()

    def check_outer(self, header, name, hops, protocol):
        self.assertEqual(len(header), 20)
        self.assertEqual((header[0], header[1], header[8], header[9]), (0x45, 0xB8, hops, protocol))
        self.assertEqual(header[6:8], b"\0\0")
        self.assertEqual(header[12:], packed(self.node_address) + packed(self.addresses[name]))


class Tunnel6(Tunnel):
    """The same inside IPv6."""

    addresses = {"kam1": "fd00:10::11", "kam2": "fd00:10::12", "kam3": "fd00:11::13"}
    node_address = "fd00:10::1"

    def check_outer(self, header, name, hops, protocol):
        self.assertEqual(len(header), 40)
        self.assertEqual(header[:4], b"\x6b\x80\0\0")
        self.assertEqual((header[6], header[7]), (protocol, hops))
        self.assertEqual(header[8:], packed(self.node_address) + packed(self.addresses[name]))

    def test_8_path_mtu(self):
        """A narrow link behind the router: it says so, and what is too long goes in pieces."""
        lab = self.lab
        lab.net.ip("router", "link", "set", "eth2", "mtu", "1300")
        before = laws.settled(lab)
        with Phone(lab, "caller", "narrow") as phone:
            served = set()
            for _ in range(12):
                data = phone.make("OPTIONS", "sip:ping@example.net",
                                  extra=["Subject: " + 1050 * "x"])
                served.add(phone.ask(data).get("server"))
        self.assertIn("kam3", served)
        moved = laws.settled(lab).since(before)
        self.assertGreaterEqual(moved["path_mtus"], 1)
        self.assertGreater(moved["sip_tx_fragmented"], 0)


if __name__ == "__main__":
    main()
