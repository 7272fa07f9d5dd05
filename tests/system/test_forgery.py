# SPDX-License-Identifier: Apache-2.0
"""
An attacker (mallory) who wants Tandem to send something to a victim that never asked: forged and
stolen Vias, forged tokens, Vias that name the victim, a backend's source address. The victim's wire
is watched: nothing may come.
"""
import base64
import re
import sys

sys.dont_write_bytecode = True

from contextlib import contextmanager                             # noqa: E402

import laws                                                       # noqa: E402
from harness import DRIVER, SystemTest, main, wait_for            # noqa: E402
from frames import (datagram, ethernet, fragment, kind_of, packed,   # noqa: E402
                    packet, pieces, udp_frame)
from netns import UDP, Capture, mac, send_frames                  # noqa: E402
from phone import Phone, listed, talk, uri_of                     # noqa: E402
from sip import Message, Peer, host                                 # noqa: E402

OTHER = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"


def altered(text):
    """text with one character changed, at each place."""
    return [text[:at] + next(c for c in OTHER if c != text[at]) + text[at + 1:]
            for at in range(len(text))]


class ForgeryTest(SystemTest):

    def setUp(self):
        lab = self.lab
        lab.host("victim", "192.0.2.66")
        lab.host("mallory", "192.0.2.67")
        self.victim, self.here = (host(self.address(name)) for name in ("victim", "mallory"))
        self.mallory = Phone(lab, "mallory", "mallory", address=self.address("mallory"))
        self.answerers = set()
        self.addCleanup(self.mallory.socket.close)
        # With one port a backend is believed once its MAC address is known.
        wait_for(lambda: self.answerers.add(self.mallory.ask(self.mallory.options()).get("server"))
                 or self.answerers == set(lab.backends), 10, "every backend to have answered")

    def backend(self):
        """kam1's own words, by another of its ports."""
        return Peer(self.lab, "kam1", address=self.address("kam1"))

    @contextmanager
    def watched(self):
        """
        Nothing comes to the victim while this lasts; first a real backend shows that its messages
        do come, so that the watch means something.
        """
        lab = self.lab
        with Capture(lab.namespace("victim")) as wire:
            def came():
                return wire.packets(protocol=UDP, outgoing=False)
            with self.backend() as backend:
                backend.send(backend.request("OPTIONS", f"sip:seen@{self.victim}:5060"))
                wait_for(came, 5, "a backend's own message to come to the victim")
            known = len(came())
            self.before = laws.settled(lab)
            yield
            self.moved = laws.settled(lab).since(self.before)
            self.mallory.ask(self.mallory.options())     # what was before it has left
            self.assertEqual([(p.source, p.destination_port, p.payload[:200])
                              for p in came()[known:]], [], "the victim was sent something")

    def say_verdicts(self, sent):
        self.say(f"{sent} sent: " + ", ".join(
            f"{name[8:]} {number}" for name, number in sorted(self.moved.items())
            if name.startswith("verdict_")))

    def spoof(self, payloads, port=5060):
        """Sends datagrams from mallory's wire with a backend's address as their source."""
        lab = self.lab

        send_frames(lab.namespace("mallory"), [
            udp_frame(mac(lab, "mallory", "eth0"), mac(lab, "appliance", "port0"), 
                      (self.address("kam1"), port), (self.vip, 5060), payload) for payload in payloads])
        return len(payloads)

    def stolen(self):
        """The two Vias of a request of mallory's as its backend saw them, and the request."""
        wires = {name: Capture(backend.host.namespace)
                 for name, backend in self.lab.backends.items()}
        for wire in wires.values():
            wire.__enter__()
        try:
            data = self.mallory.options()
            call_id = Message(data).get("call-id")
            self.mallory.ask(data)
            seen = wait_for(lambda: [Message(packet.payload) for wire in wires.values()
                                     for packet in wire.packets(protocol=UDP, outgoing=False)
                                     if packet.payload.startswith(b"OPTIONS ")
                                     and call_id.encode() in packet.payload], 3, "the OPTIONS")
        finally:
            for wire in wires.values():
                wire.__exit__()
        ours, mine = listed(seen[0].all("via"))
        return ours, mine, seen[0]

    def to_victim(self, source):
        """Requests that a backend's word would bring to the victim."""
        made = []
        for method in ("OPTIONS", "INVITE", "MESSAGE", "ACK", "STRANGE"):
            for uri, routes in ((f"sip:x@{self.victim}:5060", ()),
                                (f"sip:x@{self.victim}:5060", (f"<sip:{self.victim}:5060;lr>",))):
                made.append(source.request(method, uri, routes=routes))
        made.append(source.request("BYE", f"sip:x@{self.victim}:5060", to_tag="t2"))
        made.append(source.request("OPTIONS", f"sip:x@{self.victim}:5060", to_tag="t2"))
        # The laboratory's proxies call out for their own domain's users.
        return [data.replace(b"@example.net>;tag=t1", b"@elsewhere.example>;tag=t1")
                for data in made]

    def spoofed_backend(self):
        """A backend's address in frames from the outside: it is not believed."""
        with self.watched():
            sent = self.spoof(self.to_victim(self.mallory))
            sent += self.spoof(self.to_victim(self.mallory), port=40000)
            wait_for(lambda: laws.Stats(self.lab)["messages"] - self.before["messages"] >= sent, 5,
                     "the forged frames to be received")
        self.say_verdicts(sent)


class Forgery(ForgeryTest):

    def test_1_responses(self):
        """Responses with forged, altered, absent and stolen Vias, from anywhere: all dropped."""
        ours, mine, asked = self.stolen()
        tdm = re.search(r";tdm=([^;]+)", ours)[1]
        victims = [f"SIP/2.0/UDP {self.victim}:5060;branch=z9hG4bKv",
                   f"SIP/2.0/UDP {self.victim}:5060;rport=5060;received={self.address('victim')};branch=z9hG4bKv",
                   re.sub(r"received=[^;]+", f"received={self.address('victim')}", mine),
                   re.sub(r"rport=\d+", "rport=5060", mine).replace(self.here, self.victim)]
        tops = [ours, ours.replace(f";tdm={tdm}", ""), ours.replace(tdm, ""),
                ours.replace(tdm, tdm[:-1]), ours.replace(tdm, tdm + "A"),
                ours.replace(tdm, "A" * len(tdm)),
                re.sub(r"branch=z9hG4bK\w+", "branch=z9hG4bK0123456789abcdef", ours)]
        calls = [asked.get("call-id"), "another@call"]
        made = [self.response(top, via, call, asked)
                for top in tops for via in victims for call in calls]
        made += [self.response(ours.replace(tdm, other), via, calls[0], asked)
                 for other in altered(tdm) for via in victims[:1]]
        # Stolen whole, for another transaction; and with a third Via behind them.
        made.append(self.response(ours, mine, "another@call", asked))
        made.append(self.response(ours, f"{victims[0]}, {mine}", calls[0], asked))
        with self.watched(), self.backend() as backend:
            for data in made:
                self.mallory.send(data)
                backend.send(data)
            sent = 2 * len(made) + self.spoof(made)
            wait_for(lambda: laws.Stats(self.lab)["messages"] - self.before["messages"] >= sent,
                     5, "the responses to be received")
        self.say_verdicts(sent)
        self.assertEqual(self.moved.get("dropped"), sent)
        self.assertIsNone(self.mallory.silent(0.2, 299), "a forged response came through")
        # maddr is no way around: what verifies goes to who asked, whatever it says.
        with self.watched():
            self.mallory.send(self.response(ours, f"{mine};maddr={self.victim}", calls[0], asked))

    def response(self, top, second, call_id, asked):
        return (f"SIP/2.0 299 Forged\r\nVia: {top}\r\nVia: {second}\r\n"
                f"From: {asked.get('from')}\r\nTo: {asked.get('to')};tag=f\r\n"
                f"Call-ID: {call_id}\r\nCSeq: {asked.get('cseq')}\r\n"
                "Content-Length: 0\r\n\r\n").encode()

    def test_2_vias_of_requests(self):
        """Vias that name the victim in requests: every answer goes to who sent them."""
        lab, mallory = self.lab, self.mallory
        port = mallory.address[1]
        vias = [f"{self.victim}:{port}", f"{self.victim}:{port};rport", f"{self.victim}:{port};rport=5060",
                f"{self.victim}:{port};received={self.address('victim')}",
                f"{self.here}:{port};rport=5060;received={self.address('victim')}",
                f"{self.here}:{port};rport;received={self.address('victim')};maddr={self.victim}",
                f"victim.example.net:{port};rport", f"{self.victim}:{port};ttl=9;maddr={self.victim};rport"]
        # What is wrong with each, as old and new text; test_3 has the tokens.
        provoke = {
            "483": (mallory.request("OPTIONS", "sip:x@example.net"), b"rds: 70", b"rds: 0"),
            "416": (mallory.request("OPTIONS", "sip:x@example.net"), b"OPTIONS sip:x@example.net",
                    b"OPTIONS ftp:x@example.net"),
            "505": (mallory.request("OPTIONS", "sip:x@example.net"), b" SIP/2.0\r\nVia",
                    b" SIP/7.0\r\nVia"),
            "400": (mallory.request("OPTIONS", "sip:x@example.net"), b"CSeq: 1 OPTIONS",
                    b"CSeq: 1 INVITE"),
            "420": (mallory.request("OPTIONS", "sip:x@example.net", extra=["Proxy-Require: foo"]),
                    b"", b""),
            "200 here": (mallory.request("OPTIONS", f"sip:{host(self.vip)}"), b"", b""),
            "200 of a backend": (mallory.request("OPTIONS", "sip:ping@example.net"), b"", b""),
            "404 of a backend": (mallory.request("INVITE", "sip:nobody@example.net"), b"", b""),
        }
        with Capture(lab.namespace("mallory")) as wire, self.watched():
            sent = 0
            for data, old, new in provoke.values():
                for number, via in enumerate(vias):
                    call = Message(data).get("call-id").encode()
                    made = data.replace(old, new, 1) if old else data
                    made = re.sub(rb"Via: SIP/2.0/UDP [^;]+;rport;branch=\S+",
                                  f"Via: SIP/2.0/UDP {via};branch=z9hG4bK-{sent}".encode(), made)
                    mallory.send(made.replace(call, b"%d-" % number + call))
                    sent += 1

            def answered():
                return {(m.get("call-id"), m.get("cseq")) for m in
                        (Message(packet.payload)
                         for packet in wire.packets(protocol=UDP, outgoing=False))
                        if m.status and m.status >= 200}
            wait_for(lambda: len(answered()) >= sent, 8, f"{sent} answers to mallory")
        self.say_verdicts(sent)

    def test_3_tokens(self):
        """Tokens altered at each character, or made to name the victim, from outside and inside."""
        lab, mallory = self.lab, self.mallory
        mallory.register()
        with Phone(lab, "callee", "t-bob", address=self.address("callee")) as bob:
            bob.register()
            wait_for(lambda: all(backend.registered() >= 2 for backend in lab.backends.values()),
                     10, "two contacts everywhere")
            call, _ = talk(mallory, bob)
        route = uri_of(call.routes[0])
        token = re.search(r"sip:t1\.([^@]+)@", route)[1]
        raw = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        address = packed(self.address("mallory"))
        self.assertIn(address, raw, "a token does not carry its flow's address")
        victims = raw.replace(address, packed(self.address("victim")))
        forged = [base64.urlsafe_b64encode(victims).rstrip(b"=").decode(), *altered(token),
                  token[:-2], token + "AA"]
        with self.watched(), self.backend() as backend:
            statuses = {}
            for text in forged:
                for peer, uri in ((mallory, f"sip:x@{self.victim}:5060"),
                                  (backend, f"sip:x@{self.here}:{mallory.address[1]}")):
                    data = peer.request("BYE", uri, to_tag="t2", routes=[
                        f"<{route.replace(token, text)}>"])
                    answer = peer.final(data)
                    self.assertIsNotNone(answer, text)
                    statuses[answer.status] = statuses.get(answer.status, 0) + 1
            self.assertEqual(set(statuses), {403})
        self.say(f"{len(forged)} forged tokens: {statuses}")

    def test_4_spoofed_backend(self):
        """From the port of the outside zone nobody is a backend."""
        self.spoofed_backend()


class ControlsPort(ForgeryTest):
    """Control has a UDP port of its own, for backends: what claims to be one is held off before it."""

    options = {"streams": ("tcp",)}

    def forge(self, data, number):
        """
        Frames with a backend's address to control's port, whole and in pieces of 400 bytes, and of
        IPv6 behind more headers than a worker reads; and how many of them will be received.
        """
        lab, source, target = self.lab, (self.address("kam1"), 5060), (self.node_address(), 5070)
        macs = mac(lab, "mallory", "eth0"), mac(lab, "appliance", "port0")
        whole, kind = datagram(source, target, data), kind_of(source[0])
        parts = pieces(whole, 400)
        frames = [udp_frame(*macs, source, target, data)] + [
            ethernet(*macs, kind, fragment(source[0], target[0], number, offset, more, part))
            for offset, more, part in parts if len(parts) > 1]
        if self.six:
            padding = b"".join(bytes((60 if left else UDP, 0, 1, 4, 0, 0, 0, 0))
                               for left in range(4, -1, -1))
            frames.append(ethernet(*macs, kind,
                                   packet(source[0], target[0], padding + whole, protocol=60)))
        # AF_PACKET's driver has the kernel join IPv4's pieces.
        joined = len(parts) - 1 if DRIVER == "af_packet" and not self.six and len(parts) > 1 else 0
        return frames, len(frames) - joined

    def node_address(self):
        return self.lab.inside6 if self.six and self.options.get("backends6") else self.lab.inside

    def test_1_spoofed_backend(self):
        """A backend's address in frames that are none of its: neither port nor MAC is believed."""
        frames, received = [], 0
        for number, data in enumerate(self.to_victim(self.mallory)):
            filled = data.replace(b"Content-Length: 0", b"X: " + b"x" * 500 + b"\r\nContent-Length: 0")
            for made, arrive in (self.forge(data, 2 * number), self.forge(filled, 2 * number + 1)):
                frames += made
                received += arrive
        with self.watched():
            send_frames(self.lab.namespace("mallory"), frames)
            wait_for(lambda: laws.Stats(self.lab)["rx_frames"] - self.before["rx_frames"]
                     >= received, 5, "the forged frames to be received")
        self.assertEqual(self.moved.get("drop_frame_forged"), received)


class ControlsPort6(ControlsPort):

    six = True
    options = {"streams": ("tcp",), "backends6": True}


class ControlsPortOne(ControlsPort):
    """One port for both sides."""

    options = {"streams": ("tcp",), "ports": 1}


class Forgery6(Forgery):
    """IPv6 from end to end."""

    six = True
    options = {"backends6": True}


class OnePort(ForgeryTest):
    """One port for both sides: a backend is believed by its MAC address."""

    options = {"ports": 1}

    def test_1_spoofed_backend(self):
        """A backend's address in frames of another MAC address than the backend's."""
        self.spoofed_backend()


class OnePort6(OnePort):

    six = True
    options = {"ports": 1, "backends6": True}


if __name__ == "__main__":
    main()
