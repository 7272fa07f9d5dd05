# SPDX-License-Identifier: Apache-2.0
"""
Phones that keep two connections (RFC 5626), real Kamailios as their registrars: each flow has a
binding of its own, a call comes by one of them, by the other when that one is gone, and by the
connection that takes a lost one's place as soon as it has registered.
"""
import sys
import unittest
import uuid

sys.dont_write_bytecode = True

from harness import main, seen, wait_for                          # noqa: E402
from phone import SDP, SDP_TYPE, hang_up, listed, talk            # noqa: E402
from phones.baresip import Baresip, can_baresip                   # noqa: E402
from phones.stream import StreamPhone                             # noqa: E402
from sip import contact_uri                                       # noqa: E402
from test_stream import StreamTest                                # noqa: E402

WAYS = (("TCP", False), ("TLS", True), ("WSS", False), ("TCP", True), ("TLS", False))
SUPPORTED = ["Supported: path, outbound"]


class Flow(StreamPhone):
    """One of a phone's connections: all have its instance, each a reg-id of its own."""

    def __init__(self, lab, host_name, user, transport, reg_id, **more):
        super().__init__(lab, host_name, user, transport, **more)
        self.reg_id = reg_id

    def parameters(self, user):
        """What a Contact says of a flow; each user has an instance."""
        instance = uuid.uuid5(uuid.NAMESPACE_URL, user).urn
        return f';reg-id={self.reg_id};+sip.instance="<{instance}>"'

    def register(self, **more):
        return super().register(extra=SUPPORTED, parameters=self.parameters(self.user), **more)

    def register_all(self, users):
        """The REGISTERs of several phones by one write; returns when each was granted."""
        self.register_cseq += 1
        asked, users = [], list(users)
        for user in users:
            data = self.make("REGISTER", f"sip:{self.lab.domain}", user=user,
                             to=f"sip:{user}@{self.lab.domain}", cseq=self.register_cseq,
                             call_id=f"{user}-{self.register_call}", extra=SUPPORTED)
            contact = f"<{contact_uri(user, self.public, self.transport)}>"
            asked.append(data.replace(contact.encode(),
                                      (contact + self.parameters(user)).encode(), 1))
        self.connection.send(*asked)
        for user in users:
            self.wait(200, f"{user}-{self.register_call}")


class Outbound(StreamTest):

    options = {"streams": ("tcp", "tls", "wss"), "outbound": True}

    def flows(self, user, transport, six, reg_ids=(1, 2)):
        """The registered connections of a phone, known to every backend."""
        there = self.lab.host("callee")
        address = there.address6 if six else there.address
        made = [Flow(self.lab, "callee", user, transport, reg_id, address=address)
                for reg_id in reg_ids]
        for flow in made:
            self.addCleanup(lambda flow=flow: flow.socket.close())
            answer = flow.register()
            self.assertIn("outbound", answer.get("require"))
            # The backend may not have heard yet of the other flow, registered by another one.
            self.assertTrue(any(f"reg-id={flow.reg_id}" in contact
                                for contact in listed(answer.all("contact"))), answer.fields)
        self.known_everywhere(user, len(reg_ids))
        return made

    def paths(self, user):
        """{backend: {reg-id: its Path}} of this user."""
        return {name: {entry["Contact"]["Reg-Id"]: entry["Contact"]["Path"] for entry in
                       backend.rpc("ul.lookup", "location", f"{user}@{self.lab.domain}")["Contacts"]}
                for name, backend in self.lab.backends.items()}

    def reached(self, caller, flows):
        """Calls a phone; (the caller's Dialog, the callee's) by the one of its flows that rings."""
        call = caller.invite(flows[0].aor)
        flow, asked = wait_for(lambda: next(
            ((flow, found) for flow in flows for found in
             [flow.find(0.02, lambda m: m.method == "INVITE")] if found), None),
            5, f"an INVITE to {flows[0].user}")
        tag = f"by{flow.reg_id}"
        flow.reply(asked, 180, "Ringing", tag)
        flow.reply(asked, 200, "OK", tag, SDP, [SDP_TYPE])
        answer = caller.wait(200, call)
        call.learn(answer).ack()
        flow.wait("ACK", call)
        for other in flows:
            self.assertIsNone(other.silent(0.1, "INVITE"), "both flows were tried")
        return call, flow.dialog_of(asked, tag)

    def statuses(self, call):
        """The statuses that the call's backend got, 430 if an edge said so."""
        (found,) = seen(self.lab, lambda call_id: call_id == call.call_id).values()
        (messages,) = found.values()
        return {message.what for message in messages if message.what.isdigit()}

    def each_way(self, test, name=None):
        """test(user, transport, six, bob) with users of its own."""
        for number, (transport, six) in enumerate(WAYS):
            with self.subTest(transport=transport, six=six):
                user = f"{name or test.__name__}{number}"
                test(user, transport, six, self.phone(f"{user}bob", "UDP", "caller"))

    def test_1_second_flow(self):
        """A call comes by one flow; when that is gone, the proxy hears 430 and takes the other."""
        self.each_way(self.second)

    def second(self, user, transport, six, bob):
        flows = self.flows(user, transport, six)
        for caller_ends in (True, False):
            call, there = self.reached(bob, flows)
            self.assertNotIn("430", self.statuses(call))
            hang_up(*((call, there) if caller_ends else (there, call)))
        lost = there.phone
        kept, = (flow for flow in flows if flow is not lost)
        lost.connection.close()
        for number in range(2):
            call, there = self.reached(bob, [kept])
            hang_up(*((there, call) if number else (call, there)))
            # The backend that heard it forgets that flow, and tells the others.
            if number == 0:
                self.assertIn("430", self.statuses(call))
            self.at_one_backend(call.call_id)
        lost.reconnect()
        lost.register()
        self.known_everywhere(user, 2)
        kept.connection.close()
        call, there = self.reached(bob, [lost])
        hang_up(there, call)
        self.at_one_backend(call.call_id)

    def test_2_anew(self):
        """A flow that is registered anew is reached by the very next message."""
        self.each_way(self.anew)

    def anew(self, user, transport, six, bob):
        flow, = self.flows(user, transport, six, (1,))
        before = self.paths(user)
        for told in (True, False, True):
            self.addCleanup(flow.reconnect(close=told).close)
            flow.register()
            for _ in range(4):
                call, there = talk(bob, flow)
                self.assertNotIn("430", self.statuses(call))
                hang_up(there, call)
        wait_for(lambda: all(found[1] != before[at][1] for at, found in self.paths(user).items()),
                 10, "every backend to learn the new Path")

    def test_3_in_dialog(self):
        """
        A call whose flow is gone: the phone ends it by its other flow; who talks to it hears 430 at
        once, and is heard again when that flow is registered anew.
        """
        self.each_way(self.in_dialog)

    def in_dialog(self, user, transport, six, bob):
        flows = self.flows(user, transport, six)
        # Of three calls two are by one flow.
        calls = sorted((self.reached(bob, flows) for _ in range(3)),
                       key=lambda call: call[1].phone.reg_id)
        first, there = calls[1]
        second, again = calls[0] if calls[0][1].phone is there.phone else calls[2]
        lost = there.phone
        other, = (flow for flow in flows if flow is not lost)
        lost.connection.close()
        for call in (first, second):
            answer = call.ask("UPDATE")
            self.assertEqual(answer.status, 430, answer.start)
        there.phone = other
        hang_up(there, first)
        lost.reconnect()
        lost.register()
        hang_up(second, again)
        self.at_one_backend(first.call_id, second.call_id)

    def test_4_gateway(self):
        """
        Phones behind one connection, all of which register at once: the calls of each go on by the
        connection that the gateway makes next, and each is called there by the next message.
        """
        self.each_way(self.gateway)

    def gateway(self, name, transport, six, bob):
        there = self.lab.host("callee")
        gateway = Flow(self.lab, "callee", name, transport, 1,
                       address=there.address6 if six else there.address)
        self.addCleanup(lambda: gateway.socket.close())
        users = {f"{name}user{number}": f"sip:{name}user{number}@{self.lab.domain}"
                 for number in range(4)}
        gateway.register_all(users)
        for user in users:
            self.known_everywhere(user)
        calls = [talk(bob, gateway, uri=aor) for aor in users.values()]
        gateway.connection.close()
        gateway.reconnect()
        gateway.register_all(reversed(users))
        for call, back in calls:
            hang_up(call, back)
        for aor in users.values():
            hang_up(*talk(bob, gateway, uri=aor))

    @unittest.skipUnless(can_baresip(), "baresip is not installed")
    def test_5_baresip(self):
        """Another's phone, by TCP and by TLS at once: whichever an operator ends, the other rings."""
        bob = self.phone("barebob", "UDP", "caller")
        for ended in ("TCP", "TLS"):
            with self.subTest(ended=ended):
                user = f"bare{ended.lower()}"
                theirs = Baresip(self.lab, "callee", user, "tcp", outbound=True, second="tls")
                try:
                    self.known_everywhere(user, 2)
                    self.answered(bob, theirs)
                    # Those of phones that have just left may still be told.
                    ids = wait_for(lambda: len(self.connections()) == 2 and
                                   dict(self.connections()), 5, "its two connections alone")
                    self.assertEqual(self.lab.ctl("kill", "connection", ids[ended])[0], 0)
                    self.answered(bob, theirs)
                finally:
                    theirs.stop()

    def connections(self):
        """(transport, number) of those of the callee's host."""
        shown = self.lab.ctl("show", "connections", "--source", self.lab.host("callee").address,
                             json=True)
        return [(entry["transport"], entry["id"]) for entry in shown["connections"]]

    def answered(self, bob, theirs):
        call = bob.invite(theirs.aor)
        theirs.answer()
        call.learn(bob.wait(200, call)).ack()
        theirs.established()
        self.assertEqual(call.ask("BYE").status, 200)
        theirs.closed()

    def test_6_not_told(self):
        """
        The same by backends that do not hear of the REGISTER, and send calls by the former Path;
        the former connection is gone, or nobody has told of its end.
        """
        made = []
        self.each_way(lambda *args: made.append((self.flows(*args[:3], (1,)), *args)), "deaf")
        self.part_backends()
        for (flow,), user, transport, six, bob in made:
            for told in (False, True):
                with self.subTest(transport=transport, six=six, told=told):
                    before = self.paths(user)
                    self.addCleanup(flow.reconnect(close=told).close)
                    flow.register()
                    same = {name for name, now in self.paths(user).items() if now == before[name]}
                    self.assertEqual(len(same), 2, "who heard of it")
                    self.called_by(same, bob, flow)

    def called_by(self, backends, bob, flow):
        """Calls until each of these backends has had one."""
        missing = set(backends)
        for _ in range(60):
            call, there = talk(bob, flow)
            hang_up(there, call)
            self.assertNotIn("430", self.statuses(call))
            missing -= set(seen(self.lab, lambda call_id: call_id == call.call_id)[call.call_id])
            if not missing:
                return
        self.fail(f"no call at {missing}")

    def part_backends(self):
        """From now on no backend hears the others."""
        for backend in self.lab.backends.values():
            others = ", ".join(other.address for other in self.lab.backends.values()
                               if other is not backend)
            self.lab.exec(backend.host, "nft", f"""
                add table ip parted
                add chain ip parted input {{ type filter hook input priority 0 ; }}
                add rule ip parted input ip saddr {{ {others} }} drop""")


if __name__ == "__main__":
    main()
