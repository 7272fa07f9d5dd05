# SPDX-License-Identifier: Apache-2.0
"""
Call flows beyond INVITE, ACK and BYE: a session modified from both ends, reliable provisional
responses, forks, retransmissions, transfer, presence, messages, a conference, and messages spelled
as no phone of sane mind would. Real Kamailios in the middle.
"""
import sys
import time
import unittest

sys.dont_write_bytecode = True

from contextlib import ExitStack                                  # noqa: E402

from harness import SystemTest, main, seen, wait_for              # noqa: E402
from lab import kamailio                                          # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import (Dialog, Phone, cancelled, compact, hang_up, talk,  # noqa: E402
                   update)
from sip import Message, Peer                                     # noqa: E402

PIDF = b"""<?xml version="1.0" encoding="UTF-8"?>\r
<presence xmlns="urn:ietf:params:xml:ns:pidf" entity="%b">\r
<tuple id="t1"><status><basic>%b</basic></status></tuple></presence>\r
"""


class FlowTest(SystemTest):
    """What the classes of this file share."""

    def make_phone(self, host_name, user, **more):
        """A phone that is not registered; other transports have others."""
        return Phone(self.lab, host_name, user, **more)

    def phones(self, *names, address6=False, **more):
        """Registered phones: the first user's at the caller's host, the others at the callee's."""
        made = []
        for number, name in enumerate(names):
            host = self.lab.host("callee" if number else "caller")
            phone = self.make_phone(host.name, name,
                                    address=host.address6 if address6 else None, **more)
            self.addCleanup(phone.socket.close)
            made.append(phone)
        for phone in made:
            phone.register()
        return made

    def placed(self, *calls):
        """{Call-ID: backend} of calls each of which one backend alone saw."""
        wanted = {getattr(call, "call_id", call) for call in calls}
        by_call = seen(self.lab, lambda call_id: call_id in wanted)
        self.assertEqual(set(by_call), wanted)
        self.assert_one_backend(by_call, ())
        return {call: next(iter(found)) for call, found in by_call.items()}


class Flows(FlowTest):

    def test_1_modified(self):
        """re-INVITE and UPDATE from either end, and PRACK: SIPp calls, IPv4 and IPv6."""
        lab = self.lab
        pairs = [("uac_modify", "uas_modify"), ("uac_prack", "uas_prack"),
                 ("uac_cancel", "uas_cancel")]
        runs = [self.place(pairs, calls=30, rate=30, users=3, hold_ms=50, tag="mod", port=6100),
                self.place(pairs, calls=15, rate=15, users=3, hold_ms=50, tag="mod6", port=6120,
                           address=lab.host("caller").address6,
                           callee_address=lab.host("callee").address6)]
        wanted = [("INVITE", "200", "ACK", "UPDATE", "BYE"),
                  ("INVITE", "183", "PRACK", "200", "ACK", "BYE"),
                  ("INVITE", "180", "CANCEL", "487")]
        for calls, number in zip(runs, (10, 5)):
            by_call = calls.finish().seen()
            for kind, whats in enumerate(wanted):
                some = {call: found for call, found in by_call.items()
                        if f"-{calls.tag}-{kind}-" in call}
                self.assertEqual(len(some), number)
                self.assert_one_backend(some, whats)
                if kind == 0:
                    self.both_ways(some)

    def both_ways(self, by_call):
        """INVITE and UPDATE within the dialog came from both ends: by either From-tag."""
        for call, found in by_call.items():
            (_, messages), = found.items()
            for method in ("INVITE", "UPDATE"):
                tags = {m.from_tag for m in messages if m.what == method and m.to_tag != "<null>"}
                self.assertEqual(len(tags), 2, f"{method} in {call}")

    def test_2_fork_answered_twice(self):
        """Both phones of one user answer 200: the caller gets both, and ends both dialogs."""
        for six in (False, True):
            self.fork(six)

    def fork(self, six):
        alice, bob = self.phones(f"f{six}-alice", f"fork{six}-bob", address6=six)
        other = self.make_phone("callee", bob.user, address=bob.address[0])
        self.addCleanup(other.socket.close)
        other.register()
        self.known_everywhere(bob.user, 2)
        for _ in range(3):
            call = alice.invite(bob.aor)
            asked = {phone: phone.wait("INVITE", call) for phone in (bob, other)}
            for phone, invite in asked.items():
                phone.reply(invite, 180, "Ringing", f"tag{phone.address[1]}")
            for phone, invite in asked.items():
                phone.reply(invite, 200, "OK", f"tag{phone.address[1]}")
            oks = [alice.wait(200, call), alice.wait(200, call)]
            dialogs = [call.sibling(ok) for ok in oks]
            self.assertEqual({d.remote_tag for d in dialogs},
                             {f"tag{phone.address[1]}" for phone in asked})
            for dialog in dialogs:
                dialog.ack()
            for phone in asked:
                ack = phone.wait("ACK", call)
                self.assertEqual(ack.to_tag, f"tag{phone.address[1]}")
            # One is ended by the caller, the other by its callee.
            mine = next(d for d in dialogs if d.remote_tag == f"tag{bob.address[1]}")
            hang_up(mine, bob.dialog_of(asked[bob], mine.remote_tag))
            theirs = next(d for d in dialogs if d is not mine)
            hang_up(other.dialog_of(asked[other], theirs.remote_tag), theirs)
            self.placed(call)

    def test_3_retransmissions(self):
        """INVITE, 200, ACK and BYE sent three times each: one backend, one branch, same bytes."""
        for six in (False, True):
            self.retransmitted(*self.phones(f"r{six}-alice", f"r{six}-bob", address6=six))

    def retransmitted(self, alice, bob):
        self.known_everywhere(bob.user)
        with ExitStack() as stack:
            wires = {name: stack.enter_context(Capture(backend.host.namespace))
                     for name, backend in self.lab.backends.items()}

            def arrived(what, call):
                return [(name, Message(packet.payload)) for name, wire in wires.items()
                        for packet in wire.packets(protocol=UDP, outgoing=False)
                        if call.call_id.encode() in packet.payload
                        and packet.payload.startswith(what)]

            call = alice.invite(bob.aor)
            for _ in range(2):
                alice.send(call.first)
            asked = bob.wait("INVITE", call)
            bob.reply(asked, 180, "Ringing", "rt")
            for _ in range(3):
                bob.reply(asked, 200, "OK", "rt")
            # Each 200 reaches the caller: SIPp and Phone.find would hide it.
            oks = []
            wait_for(lambda: oks.extend(m for m in [Peer.receive(
                alice, 0.2, lambda m: m.status == 200 and call.call_id == m.get("call-id"))] if m)
                or len(oks) >= 3, 5, "three 200s")
            call.learn(oks[0])
            ack, bye = call.request("ACK"), call.request("BYE")
            for _ in range(3):
                alice.send(ack)
            bob.wait("ACK", call)
            for _ in range(3):
                alice.send(bye)
            bob.serve("BYE", call)
            alice.wait(200, call, wanted=lambda m: "BYE" in m.get("cseq"))
            for what, data in ((b"INVITE ", call.first), (b"ACK ", ack), (b"BYE ", bye)):
                wait_for(lambda: len(arrived(what, call)) >= 3, 5, f"three times {what}")
                found = arrived(what, call)
                self.assertEqual(len(found), 3, what)
                self.assertEqual(len({name for name, _ in found}), 1, what)
                self.assertEqual(len({m.data for _, m in found}), 1, what)
                self.assertNotEqual(found[0][1].branch, Message(data).branch)

    def test_4_call_moved(self):
        """
        REFER with Replaces: bob, in a call with alice, has it moved to carol's phone. REFER
        (Replaces in Refer-To) and carol's INVITE (Replaces) reach the backend of the first call,
        though both have other Call-IDs.
        """
        for six in (False, True):
            self.moved(*self.phones(*(f"x{six}-{name}" for name in ("alice", "bob", "carol")),
                                    address6=six))

    def moved(self, alice, bob, carol):
        for phone in (alice, bob, carol):
            self.known_everywhere(phone.user)
        used = set()
        for _ in range(6):
            a, b = talk(alice, bob)
            replaces = b.replaces()
            escaped = (replaces.replace("@", "%40").replace(";", "%3B").replace("=", "%3D"))
            refer = bob.make("REFER", carol.aor, from_tag="refer", extra=[
                f"Refer-To: <{alice.aor}?Replaces={escaped}>", f"Referred-By: <{bob.aor}>"])
            bob.send(refer)
            asked = carol.wait("REFER", Message(refer).get("call-id"))
            carol.reply(asked, 202, "Accepted", "referred")
            bob.wait(202, Message(refer).get("call-id"))
            watch = carol.dialog_of(asked, "referred")
            c = carol.invite(alice.aor, extra=[f"Replaces: {replaces}"])
            invite = alice.wait("INVITE", c)
            self.assertEqual(invite.get("replaces"), replaces)
            alice.reply(invite, 200, "OK", "moved")
            c.learn(carol.wait(200, c)).ack()
            alice.wait("ACK", c)
            carol.send(watch.request("NOTIFY", extra=[
                "Event: refer", "Subscription-State: terminated;reason=noresource",
                "Content-Type: message/sipfrag"], body=b"SIP/2.0 200 OK\r\n"))
            notify = bob.serve("NOTIFY", watch)
            self.assertEqual(notify.body, b"SIP/2.0 200 OK\r\n")
            hang_up(a, b)                               # alice leaves the call that is replaced
            hang_up(c, alice.dialog_of(invite, "moved"))
            where = self.placed(a, watch, c)
            self.assertEqual(len(set(where.values())), 1, where)
            used |= set(where.values())
        self.assertGreater(len(used), 1, "all calls at one backend: nothing was shown")

    def test_5_messages(self):
        """MESSAGE and its 200, IPv4 and IPv6; body byte for byte."""
        for six in (False, True):
            alice, bob = self.phones(f"m{six}-alice", f"m{six}-bob", address6=six)
            self.known_everywhere(bob.user)
            body = bytes(range(256)) + "Grüße\r\n\r\n".encode()
            for _ in range(3):
                data = alice.make("MESSAGE", bob.aor, body=body, extra=["Content-Type: text/plain"])
                alice.send(data)
                came = bob.serve("MESSAGE", Message(data).get("call-id"))
                self.assertEqual(came.body, body)
                alice.wait(200, Message(data).get("call-id"))

    def test_6_answered_here(self):
        """OPTIONS to the virtual address, and Max-Forwards 0: Tandem's own answers."""
        lab = self.lab
        for address in (lab.host("caller").address, lab.host("caller").address6):
            with self.make_phone("caller", "here", address=address) as phone:
                vip = f"[{lab.vip6}]" if ":" in address else lab.vip
                for uri in (f"sip:{vip}", f"sip:{vip}:5060", "sip:example.net"):
                    answer = phone.ask(phone.make("OPTIONS", uri))
                    self.assertEqual((answer.status, answer.get("server")), (200, None), uri)
                    self.assertTrue(answer.to_tag)
                # A user means somebody else: a backend.
                self.assertIn(phone.ask(phone.options()).get("server"), lab.backends)
                for method in ("INVITE", "OPTIONS", "MESSAGE", "BYE"):
                    data = phone.make(method, "sip:nobody@example.net").replace(
                        b"Max-Forwards: 70", b"Max-Forwards: 0")
                    asked = Message(data)
                    answers = []
                    for _ in range(2):
                        phone.known.clear()
                        answers.append(phone.ask(data))
                    self.assertEqual([a.status for a in answers], [483, 483], method)
                    self.assertEqual(answers[0].data, answers[1].data)
                    self.assertTrue(answers[0].to_tag)
                    if method == "INVITE":
                        phone.send(phone.make("ACK", "sip:nobody@example.net", cseq=1,
                                              call_id=asked.get("call-id"), branch=asked.branch,
                                              to_tag=answers[0].to_tag))
                        self.assertIsNone(phone.silent(0.3), "an ACK was answered")
                calls = seen(lab, lambda call: call == asked.get("call-id"))
                self.assertEqual(calls, {}, "a backend saw Max-Forwards 0")

    def test_7_compact_and_folded(self):
        """A call all of whose messages are compact, oddly cased and folded; both ends hang up."""
        for six in (False, True):
            alice, bob = self.phones(f"k{six}-alice", f"k{six}-bob", address6=six, dress=compact)
            self.known_everywhere(bob.user)
            for number in range(4):
                a, b = talk(alice, bob)
                # Both ends modify it, and it ends from either.
                for here, there in ((a, b), (b, a)):
                    update(here, there)
                hang_up(*((a, b) if number % 2 else (b, a)))
                self.placed(a)
            cancelled(alice, bob)

    def rooms_listen(self):
        """Where the conference is reached from outside."""
        return [{"transport": "udp", "address": address, "port": 5070}
                for address in (self.lab.vip, self.lab.vip6)]

    def rooms_inside(self):
        """Where its foci reach Tandem."""
        return self.lab.vip, 5070

    def member(self, user, address):
        """A phone that calls the conference."""
        phone = Phone(self.lab, "caller", user, address=address)
        phone.target = (phone.target[0], 5070)
        return phone

    def test_8_conference(self):
        """Key ruri: the members of a room all reach one focus; rooms are spread over the foci."""
        lab = self.lab
        foci = {f"focus{n}": f"10.0.0.{30 + n}" for n in (1, 2, 3)}
        lab.config["pools"].append({"name": "foci", "key": "ruri", "backends": [
            {"name": name, "address": address, "port": 5060, "weight": 100}
            for name, address in foci.items()]})
        lab.config["services"].append({"name": "conference", "mode": "proxy", "pool": "foci",
                                       "listen": self.rooms_listen(),
                                       "domains": ["rooms.example.net"]})
        for name, address in foci.items():
            lab.host(name, address, "inside")
        lab.reload()
        try:
            self.rooms(foci)
        finally:
            lab.config["pools"].pop()
            lab.config["services"].pop()
            lab.reload()

    def test_9_challenged(self):
        """REGISTER, 401, and again with the password: at the backend whose nonce it was."""
        lab, caller = self.lab, self.lab.host("caller")
        for family, address in (("4", caller.address), ("6", caller.address6)):
            users = [f"auth{family}-{number}" for number in range(30)]
            fields = [(user, f"[authentication username={user} password=secret]")
                      for user in users]
            client = lab.sipp(caller, "register_auth", calls=len(users), users=fields, rate=30,
                              port=6190, address=address, call_id=f"401-{family}-%u@%s")
            result = client.wait(60)
            self.assertEqual((result.successful, result.failed), (len(users), 0), client.errors())
            by_call = seen(lab, lambda call: call.startswith(f"401-{family}-"))
            self.assertEqual(len(by_call), len(users))
            self.assert_one_backend(by_call, ("REGISTER",))
            for call, found in by_call.items():
                (_, messages), = found.items()
                self.assertEqual({m.cseq for m in messages if m.what == "REGISTER"}, {"1", "2"},
                                 call)

    def rooms(self, foci):
        lab = self.lab
        rooms = [f"room{number}" for number in range(8)]
        at = {}
        with ExitStack() as stack:
            focus = {name: stack.enter_context(Phone(lab, name, "focus", 5060,
                                                    target=self.rooms_inside()))
                     for name in foci}
            for six in (False, True):
                host = lab.host("caller")
                address = host.address6 if six else host.address
                for member in range(4):
                    phone = stack.enter_context(self.member(f"member{member}", address))
                    for number, room in enumerate(rooms):
                        name = self.join(phone, room, focus, number % 2 == 0)
                        at.setdefault(room, set()).add(name)
        self.assertEqual([room for room, names in at.items() if len(names) != 1], [], at)
        used = {name for names in at.values() for name in names}
        self.assertGreater(len(used), 1, f"all rooms at {used}")
        self.say(f"rooms: { {room: min(names) for room, names in at.items()} }")

    def join(self, phone, room, focus, focus_ends):
        """A member's call to a room, ended by one side; the focus that it reached."""
        call = phone.invite(f"sip:{room}@rooms.example.net")
        name, asked = wait_for(lambda: next(
            ((name, found) for name, server in focus.items()
             for found in [server.find(0, lambda m: m.method == "INVITE")] if found), None),
            5, f"a focus to be called for {room}")
        self.assertEqual(asked.get("call-id"), call.call_id)
        focus[name].reply(asked, 200, "OK", "focus")
        call.learn(phone.wait(200, call)).ack()
        focus[name].wait("ACK", call)
        there = focus[name].dialog_of(asked, "focus")
        hang_up(*((there, call) if focus_ends else (call, there)))
        return name


@unittest.skipUnless(kamailio.can_presence(), "kamailio-presence-modules is not installed")
class Presence(FlowTest):
    """Kamailio's presence, each with memory of its own: key aor brings together who belongs."""

    options = {"presence": True}

    @classmethod
    def prepare(cls, lab):
        lab.config["pools"][0]["key"] = "aor"

    def publish(self, phone, basic, etag=None):
        extra = ["Event: presence", "Expires: 600", "Content-Type: application/pidf+xml"]
        body = PIDF % (phone.aor.encode(), basic)
        if etag:
            extra.append(f"SIP-If-Match: {etag}")
        answer = phone.ask(phone.make("PUBLISH", phone.aor, extra=extra, body=body))
        self.assertEqual(answer.status, 200)
        return answer.get("sip-etag")

    def notified(self, phone, call_id, wanted, timeout=6):
        """Waits for a NOTIFY with `wanted` in it, answering all that come."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            asked = phone.wait("NOTIFY", call_id, deadline - time.monotonic())
            phone.reply(asked)
            if wanted in asked.body or wanted in asked.data.partition(b"\r\n\r\n")[0]:
                return asked
        self.fail(f"no NOTIFY with {wanted}")

    def test_1_presence(self):
        """PUBLISH and SUBSCRIBE of six users: each change is notified; refreshes, and the end."""
        used = set()
        for number in range(6):
            bob, watcher = self.phones(f"p{number}", f"w{number}", address6=number % 2)
            etag = self.publish(bob, b"open")
            data = watcher.make("SUBSCRIBE", bob.aor, from_tag="watch", extra=[
                "Event: presence", "Expires: 600", "Accept: application/pidf+xml"])
            answer = watcher.ask(data)
            self.assertIn(answer.status, (200, 202))
            call_id = Message(data).get("call-id")
            self.notified(watcher, call_id, b"<basic>open</basic>")
            etag = self.publish(bob, b"closed", etag)
            self.notified(watcher, call_id, b"<basic>closed</basic>")
            self.assertTrue(etag)
            self.end(watcher, bob, call_id, answer)
            used.add(self.placed(call_id)[call_id])
        self.assertGreater(len(used), 1, f"all presentities at {used}")

    def end(self, watcher, bob, call_id, answer):
        """The subscription is refreshed, and ended, in its dialog."""
        dialog = Dialog(watcher, call_id, "watch", bob.aor, bob.aor, 1).learn(answer)
        event = ["Event: presence", "Accept: application/pidf+xml"]
        self.assertIn(dialog.ask("SUBSCRIBE", extra=[*event, "Expires: 600"]).status, (200, 202))
        self.assertIn(dialog.ask("SUBSCRIBE", extra=[*event, "Expires: 0"]).status, (200, 202))
        self.notified(watcher, call_id, b"terminated")


if __name__ == "__main__":
    main()
