# SPDX-License-Identifier: Apache-2.0
"""
Calls as phones make them: a thousand of them, a phone behind NAT, every kind of transaction, and
both address families. What a backend saw is read from its log.
"""
import math
import sys

sys.dont_write_bytecode = True

from harness import SystemTest, main, seen, wait_for              # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from sip import Message, Peer, response                           # noqa: E402

VIP_PORT = 5060


def sip_packets(capture, outgoing=False):
    """The Messages that a Capture saw pass on UDP port 5060, in order."""
    return [Message(packet.payload, (packet.source, packet.source_port))
            for packet in capture.packets(protocol=UDP, outgoing=outgoing)
            if VIP_PORT in (packet.source_port, packet.destination_port)
            and len(packet.payload) > 4]


class Calls(SystemTest):

    def test_1_a_thousand_calls(self):
        """1,000 calls at 100/s; one half is ended by the caller, one by the callee."""
        calls = self.place([("uac", "uas"), ("uac_wait_bye", "uas_bye")], calls=1000, rate=100,
                           users=20, hold_ms=400, tag="kilo").finish()
        by_call = calls.seen()
        self.assertEqual(len(by_call), 1000)
        self.assert_one_backend(by_call, ("INVITE", "200", "ACK", "BYE"))
        counts = self.shares(by_call)
        sigma = math.sqrt(1000 * (1 / 3) * (2 / 3))
        worst = max(abs(count - 1000 / 3) for count in counts.values())
        self.every_worker_works()
        self.say(f"shares: {counts}; furthest from even by {worst / sigma:.2f} sigma")
        self.assertLessEqual(worst, 4 * sigma)

    def every_worker_works(self):
        """Flows are shared out by hash: with 24 more ports none can be left without."""
        for _ in range(24):
            with Peer(self.lab, "caller") as phone:
                self.assertEqual(phone.final(phone.options()).status, 200)
        workers = [worker["messages"] for worker in self.lab.stats()["workers"]]
        self.say(f"messages by worker: {workers}")
        self.assertTrue(all(workers), "a worker did nothing")

    def test_2_phone_behind_nat(self):
        """It registers, is called from another namespace, and both ends can hang up."""
        lab = self.lab
        phone = lab.nat("phone")
        pairs = [("uac", "uas"), ("uac_wait_bye", "uas_bye")]
        with Capture(lab.namespace("phonenat")) as wire:
            runs = [self.place(pairs, callee="phone", calls=10, rate=10, users=2, tag="nat"),
                    self.place(pairs, callee="phone", calls=10, rate=10, users=2, tag="nat6",
                               port=6120, address=lab.host("caller").address6,
                               callee_address=phone.address6)]
            for calls in runs:
                calls.finish()
        for calls in runs:
            self.assert_one_backend(calls.seen(), ("INVITE", "200", "ACK", "BYE"))
        self.seen_at(wire, lab.vip, phone.address, phone.public_address)
        self.seen_at(wire, lab.vip6, f"[{phone.address6}]", phone.public_address6)

    def seen_at(self, wire, vip, private, public):
        """The NAT gave other addresses and ports, and the phone's Contact names its own."""
        sent = [packet for packet in wire.packets(protocol=UDP, outgoing=True)
                if packet.destination == vip]
        ports = sorted({packet.source_port for packet in sent})
        self.say(f"the phone {private} was seen from {public} ports {ports}")
        self.assertEqual({packet.source for packet in sent}, {public})
        self.assertTrue(all(port > 40000 for port in ports), ports)
        contacts = [Message(packet.payload).get("contact") for packet in sent
                    if packet.payload.startswith(b"REGISTER ")]
        self.assertTrue(contacts and all(private in contact for contact in contacts))

    def test_3_transactions(self):
        """CANCEL, 486, 407 and the retry, an INVITE three times: the same backend throughout."""
        kinds = [("uac_cancel", "uas_cancel"), ("uac_busy", "uas_busy"), ("uac_auth", "uas"),
                 ("uac_retransmit", "uas")]
        six = {"address": self.lab.host("caller").address6,
               "callee_address": self.lab.host("callee").address6}
        runs = [(number, self.place(kinds, calls=number, rate=number, users=5, tag=tag, **more))
                for tag, number, more in (("tx", 100, {}), ("tx6", 40, {"port": 6120, **six}))]
        for number, calls in runs:
            self.each_kind(kinds, calls.finish(), number // len(kinds))

    def each_kind(self, kinds, calls, each):
        by_call = calls.seen()
        self.assertEqual(len(by_call), each * len(kinds))
        wanted = [("INVITE", "CANCEL", "487"), ("INVITE", "486", "ACK"),
                  ("INVITE", "200", "ACK", "BYE"), ("INVITE", "200", "ACK", "BYE")]
        for number, (kind, whats) in enumerate(zip(kinds, wanted)):
            some = {call: found for call, found in by_call.items() if f"-{calls.tag}-{number}-" in call}
            self.assertEqual(len(some), each, kind)
            self.assert_one_backend(some, whats)
            if kind[0] == "uac_auth":
                for call, found in some.items():
                    (_, messages), = found.items()
                    cseqs = {m.cseq for m in messages if m.what == "INVITE"}
                    self.assertEqual(cseqs, {"1", "2"}, call)
        self.say(f"calls by backend: {self.shares(by_call)}")

    def test_4_retransmissions_byte_by_byte(self):
        """
        An INVITE sent three times as the same bytes, then after a NAT's rebinding, reaches one
        backend, each time with one branch and Record-Route; a 200 sent three times arrives thrice.
        """
        lab = self.lab
        lab.register("callee", ["bytes"], port=6900)
        wires = {name: Capture(backend.host.namespace) for name, backend in lab.backends.items()}
        with Peer(lab, "callee", 6900) as callee, Peer(lab, "caller", 6901) as caller, \
                Peer(lab, "caller", 6902) as rebound:
            for wire in wires.values():
                wire.__enter__()
            try:
                invite = caller.request("INVITE", "sip:bytes@example.net")
                mine = Message(invite)
                for _ in range(3):
                    caller.send(invite)
                rebound.send(invite)
                asked = callee.receive(3, lambda m: m.method == "INVITE")
                self.assertIsNotNone(asked, "the INVITE did not reach the callee")
                answer = response(asked, 200, "OK", tag="bytes",
                                  contact=f"sip:bytes@{callee.address[0]}:{callee.address[1]}")
                for _ in range(3):
                    callee.send(answer)
                oks = [caller.receive(2, lambda m: m.status == 200) for _ in range(3)]
                oks = [ok for ok in oks if ok]

                def arrived():
                    return [m for wire in wires.values() for m in sip_packets(wire)
                            if m.method == "INVITE" and m.get("call-id") == mine.get("call-id")]
                wait_for(lambda: len(arrived()) >= 4, 3, "four INVITEs at the backends")
                invites = arrived()
                self.end_call(caller, callee, invite, oks)
            finally:
                for wire in wires.values():
                    wire.__exit__()
        self.assertEqual(len(invites), 4)
        where = [name for name, wire in wires.items()
                 if any(m.get("call-id") == mine.get("call-id") and m.method == "INVITE"
                        for m in sip_packets(wire))]
        self.assertEqual(len(where), 1, f"INVITEs at {where}")
        self.assertEqual({m.data for m in invites[:3]}, {invites[0].data},
                         "a retransmission was forwarded with other bytes")
        self.assertEqual(len({m.branch for m in invites}), 1, "branches differ")
        self.assertEqual(len(oks), 3, "200s that reached the caller")
        self.say(f"4 INVITEs and 3 200s by {where[0]}, branch {invites[0].branch}")

    def end_call(self, caller, callee, invite, oks):
        """ACK and BYE along the Route set."""
        if not oks:
            return
        ok, mine = oks[0], Message(invite)
        routes = list(reversed([part.strip() for value in ok.all("record-route")
                                for part in value.split(",")]))
        common = {"call_id": mine.get("call-id"), "to_tag": ok.to_tag, "routes": routes,
                  "to": "sip:bytes@example.net"}
        target = ok.get("contact").strip("<>")
        caller.send(caller.request("ACK", target, **common))
        self.assertIsNotNone(callee.receive(3, lambda m: m.method == "ACK"), "no ACK")
        caller.send(caller.request("BYE", target, cseq=2, **common))
        bye = callee.receive(3, lambda m: m.method == "BYE")
        self.assertIsNotNone(bye, "no BYE")
        callee.send(response(bye, 200, "OK"))
        self.assertIsNotNone(
            caller.receive(3, lambda m: m.status == 200 and m.get("cseq") == "2 BYE"), "no 200")

    def test_5_ipv6(self):
        """IPv6 caller, IPv4 backends, callees of either family; and an IPv4 caller to IPv6."""
        lab = self.lab
        caller, callee = lab.host("caller"), lab.host("callee")
        pairs = [("uac", "uas"), ("uac_wait_bye", "uas_bye")]
        wires = [Capture(backend.host.namespace) for backend in lab.backends.values()]
        for wire in wires:
            wire.__enter__()
        try:
            runs = [self.place(pairs, calls=20, rate=20, users=2, tag="six4", port=6200,
                               address=caller.address6),
                    self.place(pairs, calls=20, rate=20, users=2, tag="six6", port=6210,
                               address=caller.address6, callee_address=callee.address6),
                    self.place(pairs, calls=20, rate=20, users=2, tag="four6", port=6220,
                               callee_address=callee.address6)]
            for calls in runs:
                calls.finish()
        finally:
            for wire in wires:
                wire.__exit__()
        invites = [m for wire in wires for m in sip_packets(wire)
                   if m.method == "INVITE" and "-six4-" in m.get("call-id")
                   and ";tag=" not in m.get("to") and f"[{lab.vip6}]" in "".join(
                       m.all("record-route"))]
        self.assertTrue(invites, "no INVITE with an IPv6 Record-Route reached a backend")
        for message in invites:
            routes = [part for value in message.all("record-route") for part in value.split(",")]
            self.assertEqual(len(routes), 2, routes)
            self.assertIn(f"{lab.vip}", routes[0])
            self.assertIn(f"[{lab.vip6}]", routes[1])
        for calls in runs:
            self.assert_one_backend(calls.seen(), ("INVITE", "200", "ACK", "BYE"))

    def test_6_nothing_strayed(self):
        """Of all calls of this file: no Call-ID at two backends, REGISTERs included; `why` agrees."""
        by_call = seen(self.lab, lambda call_id: "@" in call_id)
        self.assert_one_backend(by_call, ())
        self.say(f"{len(by_call)} Call-IDs, by backend {self.shares(by_call)}")
        said = {call: self.lab.ctl("why", call, json=True)[0] for call in list(by_call)[-20:]}
        self.assertEqual({call: why["backend"] for call, why in said.items()},
                         {call: list(by_call[call])[0] for call in said})
        self.say(f"why: {sorted({why['rule'] for why in said.values()})}")


if __name__ == "__main__":
    main()
