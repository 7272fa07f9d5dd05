# SPDX-License-Identifier: Apache-2.0
"""
The exception path: what is not SIP goes to and from the kernel, once, and its connections outlive
the data plane.
"""
import select
import signal
import socket
import sys
import threading
import time

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from netns import ICMP, ICMPV6, UDP, Capture, tcp_connect, tcp_listener   # noqa: E402
from sip import Peer                                              # noqa: E402

BOTH_HANG_UP = [("uac", "uas"), ("uac_wait_bye", "uas_bye")]
IN_FULL = ("INVITE", "200", "ACK", "BYE")
ECHO_REPLY = {ICMP: (0, 0), ICMPV6: (129, 0)}
PORT_UNREACHABLE = {ICMP: (3, 3), ICMPV6: (1, 4)}
NEIGHBOUR_DISCOVERY = range(133, 138)


def echo(listener):
    """Gives back what comes, on every connection, until the listener is closed."""
    def serve(connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    connection.sendall(data)
            except OSError:
                pass

    def accept():
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()


def receive(connection, size, timeout):
    """Exactly `size` bytes, or what came within timeout seconds."""
    data, deadline = b"", time.monotonic() + timeout
    while len(data) < size:
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([connection], [], [], left)[0]:
            break
        some = connection.recv(65536)
        if not some:
            break
        data += some
    return data


def icmp_errors(capture):
    """ICMP and ICMPv6 packets that came in and are neither echo replies nor discovery."""
    return [packet for packet in capture.packets(outgoing=False)
            if packet.protocol in (ICMP, ICMPV6) and packet.icmp
            and packet.icmp != ECHO_REPLY[packet.protocol]
            and not (packet.protocol == ICMPV6 and packet.icmp[0] in NEIGHBOUR_DISCOVERY)]


class ExceptionPath(SystemTest):

    def test_1_ping(self):
        """Every ping is answered once, over IPv4 and IPv6, and from inside."""
        lab = self.lab
        for host, addresses in (("caller", (lab.vip, lab.vip6)), ("kam1", (lab.inside, lab.inside6,
                                                                            lab.vip))):
            for address in addresses:
                protocol = ICMPV6 if ":" in address else ICMP
                with Capture(lab.namespace(host)) as wire:
                    said = lab.exec(host, "ping", "-n", "-c", 10, "-i", "0.02", "-W", 2, address,
                                    check=False).stdout
                    time.sleep(0.2)                      # for a second answer to come
                replies = [packet for packet in wire.packets(protocol=protocol, outgoing=False)
                           if packet.icmp == ECHO_REPLY[protocol]]
                self.assertNotIn("DUP!", said)
                self.assertIn(" 10 received", said)
                self.assertEqual(len(replies), 10, f"{address} from {host}")
                self.say(f"ping {address} from {host}: {said.splitlines()[-1]}")

    def test_2_sip_draws_no_icmp(self):
        """SIP to the virtual address draws none; a port without listener exactly one, by the TAP."""
        lab = self.lab
        callee = lab.host("callee")
        wires = {name: Capture(lab.namespace(name)) for name in ("caller", "callee", "kam1")}
        for wire in wires.values():
            wire.__enter__()
        try:
            self.place([("uac", "uas")], calls=20, rate=50, hold_ms=50, tag="icmp").finish()
            for address in (callee.address, callee.address6):
                with Peer(lab, "callee", address=address) as phone:
                    answers = [phone.final(phone.options()) for _ in range(10)]
                    self.assertTrue(all(a and a.status == 200 for a in answers))
                    for junk in (b"\r\n\r\n", b"\0" * 4, b"jaK", b"junk", bytes(range(256)) * 4):
                        phone.send(junk)
                    self.assertEqual(phone.final(phone.options()).status, 200)
            errors = {name: icmp_errors(wire) for name, wire in wires.items()}
            sip = sum(len(wire.packets(protocol=UDP)) for wire in wires.values())
        finally:
            for wire in wires.values():
                wire.__exit__()
        self.assertEqual({name: found for name, found in errors.items() if found}, {})
        self.say(f"{sip} UDP packets, no ICMP")
        for address, protocol in ((lab.vip, ICMP), (lab.vip6, ICMPV6)):
            source = callee.address6 if ":" in address else callee.address
            with Peer(lab, "callee", address=source) as phone, \
                    Capture(lab.namespace("callee")) as wire:
                phone.send(b"nobody listens here", (address, 5999))
                wait_for(lambda: icmp_errors(wire), 3, "a port unreachable")
                time.sleep(0.2)                          # for a second one to come
                errors = icmp_errors(wire)
            self.assertEqual([(p.source, p.icmp) for p in errors],
                             [(address, PORT_UNREACHABLE[protocol])])

    def test_3_kill_9_of_the_dataplane(self):
        """
        TCP connections to a listener in the appliance and calls in progress go on after kill -9
        and restart; in between nobody answers in its place; afterwards there are calls again.
        """
        lab = self.lab
        addresses = (lab.vip, lab.vip6)
        listeners = [tcp_listener(lab.namespace("appliance"), address, 7777)
                     for address in addresses]
        for listener in listeners:
            echo(listener)
        connections = {address: tcp_connect(lab.namespace("caller"), address, 7777)
                       for address in addresses}
        try:
            for address, connection in connections.items():
                connection.settimeout(20)
                self.assertEqual(self.ask(connection, b"before " * 300000), 2100000, address)
            calls = self.dialogs()
            self.kill(connections)
            for address, connection in connections.items():
                self.assertEqual(self.ask(connection, b"after " * 30000), 180000, address)
        finally:
            for connection in connections.values():
                connection.close()
            for listener in listeners:
                listener.shutdown(socket.SHUT_RDWR)          # wakes accept()
                listener.close()
        calls.finish()
        self.assert_one_backend(calls.seen(), IN_FULL)
        calls = self.place(BOTH_HANG_UP, calls=40, rate=40, hold_ms=100, port=6500,
                           tag="again").finish()
        self.assert_one_backend(calls.seen(), IN_FULL)

    def dialogs(self):
        """20 calls in progress, every one of them answered and acknowledged."""
        calls = self.place(BOTH_HANG_UP, calls=20, rate=100, hold_ms=2000, port=6600, tag="over")
        wait_for(lambda: sum(1 for found in calls.seen().values() for messages in found.values()
                             if any(m.what == "ACK" for m in messages)) >= 20, 10, "20 dialogs")
        return calls

    def kill(self, connections):
        """kill -9, bytes and silence while it is dead, restart; the bytes must come back."""
        lab = self.lab
        epoch = lab.stats()["epoch"]
        lab.dataplane.kill9()
        dead = time.monotonic()
        for connection in connections.values():
            connection.sendall(b"during")
        with Peer(lab, "callee") as phone, Capture(lab.namespace("callee")) as wire:
            phone.send(phone.options())
            said = lab.exec("callee", "ping", "-n", "-c", 2, "-i", "0.1", "-W", "0.5", lab.vip,
                            check=False).stdout
            came = [packet for packet in wire.packets(outgoing=False)
                    if packet.source == lab.vip]
        self.assertIn(" 0 received", said)
        self.assertEqual(came, [], "somebody answers in the dead data plane's place")
        begun = time.monotonic()
        lab.dataplane.start()
        started = time.monotonic() - begun
        for address, connection in connections.items():
            self.assertEqual(receive(connection, 6, 20), b"during", address)
        back = time.monotonic() - begun
        lab.wait_acknowledged()
        self.assertNotEqual(lab.stats()["epoch"], epoch)
        self.say(f"data plane dead for {begun - dead:.2f} s, started in {started:.2f} s, TCP went "
                 f"on {back:.2f} s, snapshot acknowledged "
                 f"{time.monotonic() - begun:.2f} s after that")

    def ask(self, connection, data):
        """Sends and receives it at once (more than the socket buffers take); bytes that came."""
        sender = threading.Thread(target=connection.sendall, args=(data,), daemon=True)
        sender.start()
        came = receive(connection, len(data), 20)
        sender.join(1)
        self.assertEqual(came, data[:len(came)])
        return len(came)

    def test_4_interrupted(self):
        """Stopped and continued ten times (its system calls are interrupted, as by signals of the
        TAP driver), the data plane goes on."""
        lab = self.lab
        with Peer(lab, "caller") as phone:
            for _ in range(10):
                lab.dataplane.process.signal(signal.SIGSTOP)
                wait_for(lambda: self.state() == "T", 2, "the data plane to stop")
                lab.dataplane.process.signal(signal.SIGCONT)
                wait_for(lambda: self.state() != "T", 2, "the data plane to go on")
                time.sleep(0.02)
                self.assertTrue(lab.dataplane.running(), lab.dataplane.process.tail(3))
            self.assertEqual(phone.final(phone.options()).status, 200)

    def state(self):
        """One letter, as in /proc/<pid>/stat."""
        with open(f"/proc/{self.lab.dataplane.pid}/stat", encoding="ascii") as file:
            return file.read().rpartition(")")[2].split()[0]


if __name__ == "__main__":
    main()
