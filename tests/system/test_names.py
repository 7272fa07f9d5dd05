# SPDX-License-Identifier: Apache-2.0
"""
Next hops that are names: Kamailio backends call users at foreign domains, Knot DNS says where those
are, and changes its mind, says no or nothing at all.
"""
import sys
import time

sys.dont_write_bytecode = True

import knot                                                       # noqa: E402
from harness import ROOT, SystemTest, main, wait_for              # noqa: E402
from laws import Stats                                            # noqa: E402
from phone import Phone                                           # noqa: E402
from sip import Message, Peer, response                           # noqa: E402

PORT = 6200                        # of the peers' SRV records
RAW = 5080                         # of the service whose backends are sockets
PEERS = {"a": "192.0.2.71", "b": "192.0.2.72", "c": "192.0.2.73", "d": "192.0.2.74"}
RAWS = {"raw1": "10.0.0.51", "raw2": "10.0.0.52"}

ZONE = """
a        A     192.0.2.71
b        A     192.0.2.72
c        A     192.0.2.73
six      AAAA  2001:db8:1::74
both     A     192.0.2.74
both     AAAA  2001:db8:1::74
alias    CNAME both
; By NAPTR and SRV: a and b share 3 to 1, c is for when they are gone.
peer     NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.peer
peer     NAPTR 20 10 "s" "SIP+D2U" "" _sip._udp.peer
_sip._udp.peer  SRV 10 75 {port} a
_sip._udp.peer  SRV 10 25 {port} b
_sip._udp.peer  SRV 20 100 {port} c
; Without NAPTR.
_sip._udp.only  SRV 10 0 {port} a
_sip._udp.six   SRV 10 0 {port} six
tcp      NAPTR 10 10 "s" "SIP+D2T" "" _sip._tcp.tcp
_sip._udp.closed  SRV 0 0 0 .
closed   A     192.0.2.71
_sip._udp.moving  SRV 10 0 {port} {moving}
_sip._udp.known   SRV 10 0 {port} c
_sip._udp.last    SRV 10 0 {port} c
vip      A     192.0.2.10
raw      A     {raw}
"""
# More than a datagram holds: DNS falls back to TCP.
MANY = [f"_sip._udp.many SRV {number} 0 {PORT} a" for number in range(60)]


def zone(moving):
    return "\n".join([ZONE.format(port=PORT, raw=RAWS["raw2"], moving=moving), *MANY])


class Names(SystemTest):
    options = {"backends": 2}

    @classmethod
    def prepare(cls, lab):
        lab.config["control"]["dns"] = [knot.ADDRESS]
        lab.config["pools"].append({"name": "raw", "key": "call-id", "backends": [
            {"name": name, "address": address, "port": 5060, "weight": 100}
            for name, address in RAWS.items()]})
        lab.config["services"].append({
            "name": "raw", "mode": "proxy", "pool": "raw",
            "listen": [{"transport": "udp", "address": lab.vip, "port": RAW}]})

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        lab = cls.lab
        for name, address in PEERS.items():
            lab.host(name, address)
        for name, address in RAWS.items():
            lab.host(name, address, "inside")
        cls.knot = knot.Knot(lab, zone)
        cls.knot.start(moving="a")

    def names(self):
        return self.lab.ctl("show", "names", json=True)

    def punted(self):
        return Stats(self.lab)["verdict_punt_name"]

    def scenario(self, name):
        """One of the lab's whose users say their domain too."""
        path = self.lab.dir / f"{name}_name.xml"
        text = (ROOT / f"config/lab/scenarios/{name}.xml").read_text(encoding="utf-8")
        path.write_text(text.replace("sip:[field0]@[domain]", "sip:[field0]"), encoding="utf-8")
        return path

    def ask(self, uri, peer=None, status=200, patience=8):
        """
        An OPTIONS that a Kamailio sends on, which a peer answers if one is given: (status that
        came back, ms until the peer had it, or until the answer came without one).
        """
        with Phone(self.lab, "caller", "tester") as phone:
            data = phone.make("OPTIONS", uri)
            call_id, begun = Message(data).get("call-id"), time.monotonic()
            phone.send(data)
            if peer:
                asked = peer.receive(patience, lambda m: m.get("call-id") == call_id)
                self.assertIsNotNone(asked, f"{uri} did not reach its peer")
                took = time.monotonic() - begun
                peer.send(response(asked, status, "So", tag="peer"), asked.source)
            answer = phone.ask(data, patience=patience)
            return answer.status, 1000 * (took if peer else time.monotonic() - begun)

    def known(self, name):
        """What control knows of a name; None: nothing."""
        return next((entry for entry in self.names()["names"] if entry["name"] == name), None)

    def wait_over(self, name):
        """Until a name's TTL is over and no worker knows it."""
        def over():
            entry = self.known(name)
            return entry is None or not entry["published"]
        wait_for(over, 15, f"{name} to leave the snapshot")
        self.lab.wait_acknowledged()

    def test_1_calls(self):
        """Whole calls by NAPTR, SRV and A: shared as the weights say, later ones not punted."""
        lab = self.lab
        before = self.punted()
        servers = {name: lab.sipp(name, "uas", port=PORT, hold_ms=200) for name in "abc"}
        first = lab.sipp("caller", self.scenario("uac"), calls=1, users=["u@peer.example.test"],
                         hold_ms=100, port=6300)
        self.assertEqual(first.wait(30).successful, 1)
        client = lab.sipp("caller", self.scenario("uac"), calls=200, rate=50, hold_ms=200,
                          users=[f"u{i}@peer.example.test" for i in range(7)], port=6301)
        result = client.wait(60)
        self.assertEqual((result.successful, result.failed), (200, 0), client.errors())
        taken = {name: server.finish().successful for name, server in servers.items()}
        punted = self.punted() - before
        self.say(f"calls by SRV: {taken} (75 to 25, and c for none); punted {punted} messages")
        self.assertEqual(sum(taken.values()), 201)
        self.assertEqual(taken["c"], 0)
        self.assertGreater(taken["b"], 20)
        self.assertGreater(taken["a"], taken["b"])
        # One for each time that the answer's TTL was over, and what came while DNS was asked.
        self.assertLess(punted, 12)


    def test_2_one_target(self):
        """An INVITE, its retransmissions, CANCEL and ACK go to one target; calls to several."""
        used = set()
        with Peer(self.lab, "a", PORT) as a, Peer(self.lab, "b", PORT) as b, \
                Phone(self.lab, "caller", "tester") as phone:
            peers = {"a": a, "b": b}
            for number in range(60):
                if number >= 4 and used == set(peers):
                    break
                call = phone.invite("sip:u@peer.example.test")
                got = {name: [] for name in peers}
                deadline = time.monotonic() + (1.3 if number < 2 else 0.4)
                while time.monotonic() < deadline:         # Kamailio repeats it at 0.5 s, 1.5 s
                    for name, peer in peers.items():
                        message = peer.receive(0.05, lambda m: m.get("call-id") == call.call_id)
                        got[name] += [message] if message else []
                (name,) = [name for name, messages in got.items() if messages]
                peer, asked = peers[name], got[name][0]
                if number < 2:
                    self.assertGreater(len(got[name]), 1, "nothing was sent again")
                self.assertEqual({m.branch for m in got[name]}, {asked.branch})
                used.add(name)
                peer.send(response(asked, 180, "Ringing", tag="t"), asked.source)
                phone.wait(180, call)
                phone.send(phone.cancel(call))
                cancel = peer.receive(3, lambda m: m.method == "CANCEL")
                self.assertIsNotNone(cancel, f"the CANCEL did not reach {name}")
                self.assertEqual(cancel.branch, asked.branch)
                peer.send(response(cancel, 200, "OK", tag="t"), cancel.source)
                peer.send(response(asked, 487, "Cancelled", tag="t"), asked.source)
                ack = peer.receive(3, lambda m: m.method == "ACK")
                self.assertIsNotNone(ack, f"the ACK did not reach {name}")
                self.assertEqual(ack.branch, asked.branch)
                answer = phone.wait(487, call)
                phone.send(phone.ack_failure(call, answer))
        self.assertEqual(used, set(peers))

    def test_3_first_and_next(self):
        """How long the first message takes, which waits for DNS and a snapshot, and the second."""
        with Peer(self.lab, "c", PORT) as peer:
            before = self.punted()
            _, first = self.ask(f"sip:u@c.example.test:{PORT}", peer)
            punted = self.punted() - before
            later = [self.ask(f"sip:u@c.example.test:{PORT}", peer)[1] for _ in range(10)]
            self.say(f"first message by a name {first:.0f} ms, later ones {min(later):.0f} to "
                     f"{max(later):.0f} ms")
            self.assertEqual(punted, 1)
            self.assertEqual(self.punted() - before, 1)

    def test_3_many(self):
        """An answer that is too long for UDP."""
        with Peer(self.lab, "a", PORT) as peer:
            self.assertEqual(self.ask("sip:u@many.example.test", peer)[0], 200)
        targets = self.known("many.example.test")["targets"]
        self.assertEqual([target["priority"] for target in targets], list(range(len(MANY))))

    def test_4_ttl(self):
        """When the TTL is over it is asked again: the zone has changed."""
        uri = "sip:u@moving.example.test"
        with Peer(self.lab, "a", PORT) as a, Peer(self.lab, "b", PORT) as b:
            self.assertEqual(self.ask(uri, a)[0], 200)
            self.knot.change(moving="b")
            self.assertEqual(self.ask(uri, a)[0], 200)       # known still
            self.wait_over("moving.example.test")
            self.assertEqual(self.ask(uri, b)[0], 200)

    def test_5_refusals(self):
        """No such name, none of our transports, closed: 404. A server that will not say: 503."""
        for name in ("nobody.example.test", "tcp.example.test", "closed.example.test",
                     "u.example.test;transport=tcp"):
            self.assertEqual(self.ask(f"sip:u@{name}")[0], 404, name)
        before = Stats(self.lab)
        status, took = self.ask("sip:u@elsewhere.test")
        # Kamailio makes 500 of the 503 that it got (RFC 3261 §16.7 step 6).
        self.assertIn(status, (500, 503))
        self.assertLess(took, 2000)
        self.ask("sip:u@elsewhere.test")
        self.assertEqual(Stats(self.lab).since(before)["verdict_503_name"], 1)

    def test_6_ipv6(self):
        """A target of the other family, and one that has both."""
        with Peer(self.lab, "d", PORT, address=self.lab.host("d").address6) as six, \
                Peer(self.lab, "d", PORT) as four:
            self.assertEqual(self.ask("sip:u@six.example.test", six)[0], 200)
            begun = {"four": 0, "six": 0}
            with Phone(self.lab, "caller", "tester") as phone:
                for name in ("both", "alias"):
                    for _ in range(8):
                        data = phone.make("OPTIONS", f"sip:u@{name}.example.test:{PORT}")
                        call_id = Message(data).get("call-id")
                        phone.send(data)
                        for where, peer in (("four", four), ("six", six)) * 20:
                            asked = peer.receive(0.05, lambda m: m.get("call-id") == call_id)
                            if asked:
                                begun[where] += 1
                                peer.send(response(asked, 200, "OK", tag="p"), asked.source)
                                break
                        self.assertEqual(phone.ask(data).status, 200)
            self.say(f"of a name with both families, and an alias of it: {begun}")
            self.assertEqual(sum(begun.values()), 16)

    def test_7_routes(self):
        """A Route with a name; names of a backend and of the virtual address."""
        lab = self.lab
        with Peer(lab, "raw1", 5060) as raw1, Peer(lab, "raw2", 5060) as raw2, \
                Peer(lab, "a", PORT) as a:
            def sent(uri, **more):
                data = raw1.request("OPTIONS", uri, **more)
                raw1.send(data, (lab.vip, RAW))
                return Message(data).get("call-id")

            def reaches(peer, call_id):
                asked = peer.receive(5, lambda m: m.get("call-id") == call_id and m.method)
                self.assertIsNotNone(asked)
                peer.send(response(asked, 200, "OK", tag="p"), asked.source)
                answer = raw1.receive(5, lambda m: m.get("call-id") == call_id and m.status)
                self.assertEqual(answer.status, 200)
                return asked

            for _ in range(2):                 # by control, then by the data plane
                asked = reaches(a, sent("sip:u@where.example", routes=[
                    "<sip:only.example.test;lr>", "<sip:last.example;lr>"]))
                self.assertEqual(asked.start, "OPTIONS sip:u@where.example SIP/2.0")
                self.assertEqual(len(asked.all("route")), 2)
                self.assertEqual(asked.source, (lab.vip, RAW))
            for _ in range(2):
                reaches(raw2, sent("sip:u@raw.example.test:5060"))
            # Longer than an MTU, by the kernel's fragments first and then by our own.
            body = bytes(range(32, 127)) * 200
            for _ in range(2):
                data = raw1.request("MESSAGE", f"sip:u@a.example.test:{PORT}", body=body)
                raw1.send(data, (lab.vip, RAW))
                self.assertEqual(reaches(a, Message(data).get("call-id")).body, body)
            found = set()
            for _ in range(20):
                call_id = sent(f"sip:u@vip.example.test:{RAW}")
                for name, peer in (("raw1", raw1), ("raw2", raw2)) * 20:
                    asked = peer.receive(0.1, lambda m: m.get("call-id") == call_id and m.method)
                    if asked:
                        break
                self.assertIsNotNone(asked, "the spiral led nowhere")
                peer.send(response(asked, 200, "OK", tag="p"), asked.source)
                found.add(name)
                answer = raw1.receive(5, lambda m: m.get("call-id") == call_id and m.status)
                self.assertEqual(answer.status, 200)
            self.assertEqual(found, {"raw1", "raw2"})

    def test_8_dns_silent(self):
        """Unknown names get 503; known ones go on, beyond their TTL too."""
        lab = self.lab
        with Peer(lab, "c", PORT) as c:
            self.assertEqual(self.ask("sip:u@known.example.test", c)[0], 200)
            self.knot.process.signal(19)                           # STOP: it says nothing
            try:
                status, took = self.ask("sip:u@unknown.example.test")
                self.assertIn(status, (500, 503))
                self.say(f"a name that DNS says nothing of: {status} after {took:.0f} ms")
                self.wait_over("known.example.test")
                status, took = self.ask("sip:u@known.example.test", c)
                self.assertEqual(status, 200)
                self.say(f"a known one when its TTL is over: {took:.0f} ms")
                self.assertLess(took, 2000)
                self.assertTrue(self.known("known.example.test")["stale"])
                punted = self.punted()
                self.assertEqual(self.ask("sip:u@known.example.test", c)[0], 200)
                self.assertEqual(self.punted(), punted)
            finally:
                self.knot.process.signal(18)                       # CONT
            self.assertEqual(lab.control.log().count("its last answer is used"), 1)

    def test_9_control_killed(self):
        """Known names go on without control; unknown ones are lost, and counted."""
        lab = self.lab
        with Peer(lab, "c", PORT) as c:
            self.assertEqual(self.ask("sip:u@last.example.test", c)[0], 200)
            before = Stats(lab)
            lab.control.kill9()
            try:
                for _ in range(5):
                    self.assertEqual(self.ask("sip:u@last.example.test", c)[0], 200)
                with Phone(lab, "caller", "tester") as phone:
                    data = phone.make("OPTIONS", f"sip:u@late.example.test:{PORT}")
                    begun = time.monotonic()
                    phone.send(data)
                    self.assertIsNone(phone.find(1.2, lambda m: m.status and m.status >= 200))
            finally:
                lab.control.start()
                lab.wait_acknowledged()
            moved = Stats(lab).since(before)
            self.assertGreaterEqual(moved["punt_lost_control"], 2)    # Kamailio sends it again
            if time.monotonic() < begun + 3:    # else the new control has what was sent after 3.5 s
                self.assertNotIn("punt_sent", moved)
            self.assertEqual(self.ask("sip:u@last.example.test", c)[0], 200)


if __name__ == "__main__":
    main()
