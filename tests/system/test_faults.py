# SPDX-License-Identifier: Apache-2.0
"""
Faults around calls: NATs that rebind, reloads and restarts while phones ring, the data plane's
death under load. No call may notice more than SIP's retransmissions heal.
"""
import copy
import sys
import time

sys.dont_write_bytecode = True

from harness import SystemTest, main, seen, wait_for              # noqa: E402
from netns import UDP, Capture                                    # noqa: E402
from phone import Phone, hang_up, talk                            # noqa: E402
from sip import Message, Peer                                     # noqa: E402

BOTH_HANG_UP = [("uac", "uas"), ("uac_wait_bye", "uas_bye")]
IN_FULL = ("INVITE", "200", "ACK", "BYE")
FORGETFUL_S = 1                    # after so long without a packet the NAT forgets a binding
RATE, CALLS = 200, 1000            # of the calls over which the data plane dies


class FaultTest(SystemTest):

    def phone(self, host, user, port=0, register=True):
        phone = Phone(self.lab, host, user, port, address=self.address(host))
        self.addCleanup(phone.socket.close)
        if register:
            phone.register()
        return phone

    def path_everywhere(self, user, different_from=None):
        """The Path of a user's contact once every backend has the same one; another than that."""
        def same():
            paths = set()
            for backend in self.lab.backends.values():
                try:
                    found = backend.rpc("ul.lookup", "location", f"{user}@{self.lab.domain}")
                except Exception:                # an error of the RPC: not known there yet
                    return None
                contact, = found["Contacts"]
                paths.add(contact["Contact"]["Path"])
            return paths.pop() if len(paths) == 1 and different_from not in paths else None
        return wait_for(same, 10, f"every backend to learn the new Path of {user}")

    def backends_of(self, dialogs):
        """{Call-ID: its one backend}."""
        wanted = {dialog.call_id for dialog in dialogs}
        by_call = seen(self.lab, lambda call_id: call_id in wanted)
        self.assertEqual(set(by_call), wanted)
        self.assert_one_backend(by_call, ())
        return {call: next(iter(found)) for call, found in by_call.items()}


class Rebinding(FaultTest):
    """A phone behind a Linux NAT that forgets its bindings and then gives other ports."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.lab.nat("phone")
        timeouts = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout"
        for what in (timeouts, f"{timeouts}_stream"):
            cls.lab.net.shell("phonenat", f"echo {FORGETFUL_S} >{what}")

    def forget(self):
        """Until the NAT has forgotten: no packet for its timeout, which nothing announces."""
        time.sleep(FORGETFUL_S + 0.7)

    def binding(self, wire, old=None):
        """The public port of the phone's last datagram: another than `old`. Its reader may be late."""
        def last():
            sent = [packet.source_port for packet in wire.packets(protocol=UDP, outgoing=True)
                    if packet.destination == self.vip]
            return sent[-1] if sent and sent[-1] != old else None
        return wait_for(last, 3, f"the phone to be seen at a port, not {old}")

    def test_1_registers_again(self):
        """
        After another REGISTER from another port the phone is called there at once; it ends an old
        call from there; what goes by an old token leads to the old port, and nowhere else.
        """
        lab = self.lab
        phone = lab.host("phone")
        public = phone.public_address6 if self.six else phone.public_address
        alice = self.phone("caller", "n-alice")
        with Capture(lab.namespace("phonenat")) as wire, Capture(lab.namespace("caller")) as near, \
                Capture(lab.namespace("callee")) as far:
            bob = self.phone("phone", "n-bob", 5060)
            old = self.binding(wire)
            old_path = self.path_everywhere("n-bob")
            (a1, b1), (a2, _) = talk(alice, bob), talk(alice, bob)
            self.forget()
            bob.register()
            new = self.binding(wire, old)
            path = self.path_everywhere("n-bob", old_path)
            for by_caller in (True, False):
                a3, b3 = talk(alice, bob)
                hang_up(*((a3, b3) if by_caller else (b3, a3)))
            hang_up(b1, a1)                              # from the new port, in an old dialog
            bye = a2.request("BYE")
            alice.send(bye)

            def came(what, call_id):
                return [packet for packet in wire.packets(protocol=UDP, outgoing=False)
                        if packet.payload.startswith(what) and call_id.encode() in packet.payload]
            wait_for(lambda: came(b"BYE ", a2.call_id), 5, "the BYE at the old port")
            self.assertEqual({(packet.destination, packet.destination_port)
                              for packet in came(b"BYE ", a2.call_id)}, {(public, old)})
            with Peer(lab, "kam1") as backend:
                for route, port in ((old_path, old), (path, new)):
                    asked = backend.request("OPTIONS", bob.contact,
                                            routes=[f"<{route.strip('<>')}>"])
                    backend.send(asked)
                    call_id = Message(asked).get("call-id")
                    wait_for(lambda: came(b"OPTIONS ", call_id), 5, "OPTIONS by Path")
                    self.assertEqual({packet.destination_port
                                      for packet in came(b"OPTIONS ", call_id)}, {port})
                bob.serve("OPTIONS", call_id)
            strayed = [packet for other in (near, far)
                       for packet in other.packets(protocol=UDP, outgoing=False)
                       if packet.payload.startswith((b"OPTIONS ", b"BYE "))
                       and (a2.call_id.encode() in packet.payload
                            or call_id.encode() in packet.payload)]
            self.assertEqual(strayed, [])
        self.say(f"the phone was at port {old}, then at {new}")

    def test_2_cancel_from_another_port(self):
        """A caller's NAT rebinds while it rings: its CANCEL from another port ends the call."""
        lab = self.lab
        alice = self.phone("callee", "c-alice")
        self.path_everywhere("c-alice")
        with Capture(lab.namespace("phonenat")) as wire:
            bob = self.phone("phone", "c-bob", 5062, register=False)
            ringing = [bob.invite(alice.aor) for _ in range(6)]
            asked = [alice.wait("INVITE", call) for call in ringing]
            for invite in asked:
                alice.reply(invite, 180, "Ringing", "ring")
            for call in ringing:
                bob.wait(180, call)
            old = self.binding(wire)
            self.forget()
            for call, invite in zip(ringing, asked):
                bob.send(bob.cancel(call))
                cancel = alice.serve("CANCEL", call, tag="ring")
                self.assertEqual(cancel.branch, invite.branch)
                alice.reply(invite, 487, "Request Terminated", "ring")
                alice.wait("ACK", call)
                bob.wait(200, call, wanted=lambda m: "CANCEL" in m.get("cseq"))
            self.binding(wire, old)
        self.backends_of(ringing)


class Rebinding6(Rebinding):
    """NAT66: to backends that speak IPv4, by tokens of two families."""

    six = True


class Ringing(FaultTest):
    """Changes in the middle of ringing calls."""

    kinds = ("cancelled", "refused", "ended by caller", "ended by callee")

    def ring(self, alice, bob, each=4):
        """[(kind, caller's Dialog, INVITE at the callee)], all of them ringing."""
        begun = [(kind, alice.invite(bob.aor)) for kind in self.kinds for _ in range(each)]
        calls = []
        for kind, call in begun:
            asked = bob.wait("INVITE", call)
            bob.reply(asked, 180, "Ringing", "ring")
            calls.append((kind, call, asked))
        for _, call in begun:
            alice.wait(180, call)
        return calls

    def end(self, alice, bob, calls):
        """Each goes on as its kind wants; every CANCEL, ACK and BYE matches."""
        for kind, call, asked in calls:
            if kind == "cancelled":
                alice.send(alice.cancel(call))
                cancel = bob.serve("CANCEL", call, tag="ring")
                self.assertEqual(cancel.branch, asked.branch)
                bob.reply(asked, 487, "Request Terminated", "ring")
                alice.wait(200, call, wanted=lambda m: "CANCEL" in m.get("cseq"))
                alice.send(alice.ack_failure(call, alice.wait(487, call)))
                bob.wait("ACK", call)
            elif kind == "refused":
                bob.reply(asked, 486, "Busy Here", "ring")
                alice.send(alice.ack_failure(call, alice.wait(486, call)))
                bob.wait("ACK", call)
            else:
                bob.reply(asked, 200, "OK", "ring")
                call.learn(alice.wait(200, call)).ack()
                bob.wait("ACK", call)
                there = bob.dialog_of(asked, "ring")
                hang_up(*((call, there) if kind == "ended by caller" else (there, call)))
        self.assertTrue(all(call.call_id for _, call, _ in calls))
        where = self.backends_of([call for _, call, _ in calls])
        self.acknowledged(calls)
        return {name: list(where.values()).count(name) for name in set(where.values())}

    def acknowledged(self, calls):
        """The backend of each call saw the caller's ACK."""
        def without():
            wanted = {call.call_id for _, call, _ in calls}
            by_call = seen(self.lab, lambda call_id: call_id in wanted)
            return [call for call, found in by_call.items()
                    if not any(m.what == "ACK" for messages in found.values() for m in messages)]
        wait_for(lambda: not without(), 3, "every ACK at its backend")

    def test_1_reload(self):
        """A backend added, another removed, while they ring."""
        lab = self.lab
        alice, bob = self.phone("caller", "g-alice"), self.phone("callee", "g-bob")
        self.path_everywhere("g-bob")
        lab.add_backend("kam4")
        self.path_everywhere("g-bob")
        kept = copy.deepcopy(lab.config)
        calls = self.ring(alice, bob)
        lab.pool().append(lab.backend_entry("kam4"))
        lab.reload()
        self.say(f"kam4 added: {self.end(alice, bob, calls)}")
        calls = self.ring(alice, bob)
        lab.pool()[:] = [entry for entry in lab.pool() if entry["name"] != "kam2"]
        lab.reload()
        self.say(f"kam2 removed: {self.end(alice, bob, calls)}")
        lab.config = kept
        lab.reload()

    def test_2_restart(self):
        """The data plane is restarted, killed, and both daemons are, while they ring."""
        lab = self.lab
        alice, bob = self.phone("caller", "h-alice"), self.phone("callee", "h-bob")
        self.path_everywhere("h-bob")

        def killed():
            lab.dataplane.kill9()
            lab.dataplane.start()

        def both():
            lab.control.restart()
            lab.dataplane.restart()

        for what, restart in (("restarted", lab.dataplane.restart), ("killed", killed),
                              ("both restarted", both)):
            calls = self.ring(alice, bob)
            restart()
            lab.wait_acknowledged()
            lab.reload()                                  # one that changes nothing
            self.say(f"{what}: {self.end(alice, bob, calls)}")

    def test_3_reload_and_restart(self):
        """Backends come and go, and the data plane is restarted, all while they ring."""
        lab = self.lab
        alice, bob = self.phone("caller", "i-alice"), self.phone("callee", "i-bob")
        if "kam4" not in lab.backends:
            lab.add_backend("kam4")
        self.path_everywhere("i-bob")
        kept = copy.deepcopy(lab.config)
        calls = self.ring(alice, bob, each=6)
        lab.pool().append(lab.backend_entry("kam4"))
        lab.reload()
        lab.pool()[:] = [entry for entry in lab.pool() if entry["name"] != "kam2"]
        lab.reload()
        lab.dataplane.kill9()
        lab.dataplane.start()
        lab.wait_acknowledged()
        inherited = lab.stats()["counters"]["calls_inherited"]
        self.assertGreaterEqual(inherited, len(calls))
        self.say(f"kam4 added, kam2 removed, killed: {self.end(alice, bob, calls)}; {inherited} "
                 "entries taken over")
        lab.config = kept
        lab.reload()


class Ringing6(Ringing):
    """IPv6 from end to end."""

    six = True
    options = {"backends6": True}


class Load(FaultTest):

    def test_1_kill_9_under_load(self):
        """200 calls/s while the data plane is killed and started again: none fails."""
        lab = self.lab
        caller, callee = lab.host("caller"), lab.host("callee")
        # Held for long enough that a lost ACK comes again, after the 200, before the BYE.
        common = {"calls": CALLS // 2, "rate": RATE // 2, "users": 10, "hold_ms": 2500}
        runs = [self.place(BOTH_HANG_UP, tag="kill4", **common),
                self.place(BOTH_HANG_UP, tag="kill6", port=6120, address=caller.address6,
                           callee_address=callee.address6, **common)]
        for calls in runs:
            calls.wait_created(CALLS // 6)
        lab.dataplane.kill9()
        dead = time.time()
        lab.dataplane.start()
        lab.wait_acknowledged()
        acknowledged = time.time()
        by_call = {}
        for calls in runs:
            by_call |= calls.finish().seen()
        self.assertEqual(len(by_call), CALLS)
        self.assert_one_backend(by_call, IN_FULL)
        times = sorted(m.time for found in by_call.values() for messages in found.values()
                       for m in messages)
        # What a backend still had in its queue when the data plane died came a little later.
        gap, begun = max((after - before, before) for before, after in zip(times, times[1:])
                         if dead - 0.1 < after < acknowledged + 1)
        self.say(f"gap: {gap * 1000:.0f} ms without a message at the backends, from "
                 f"{(begun - dead) * 1000:.0f} ms after kill -9; snapshot acknowledged after "
                 f"{(acknowledged - dead) * 1000:.0f} ms; {CALLS} calls at {RATE}/s")
        self.assertLess(gap, 8, "longer than SIP's retransmissions bridge")


if __name__ == "__main__":
    main()
