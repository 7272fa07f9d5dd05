# SPDX-License-Identifier: Apache-2.0
"""
The call flows of test_flows.py by phones that come over TCP, TLS, WS and WSS: the same claims, of
control. What SIPp plays there, phones of ours play here; over TCP SIPp calls, too.
"""
import hashlib
import re
import sys

sys.dont_write_bytecode = True

from contextlib import ExitStack                                  # noqa: E402

import test_backends                                              # noqa: E402
import test_flows                                                 # noqa: E402
from b2bua import B2bua                                           # noqa: E402
from harness import main, seen                                    # noqa: E402
from phone import (SDP, SDP_TYPE, Phone, cancelled, hang_up,  # noqa: E402
                   reinvite, talk, update)
from phones.stream import StreamPhone                             # noqa: E402

ROOMS = {"TCP": 5070, "TLS": 5071, "WS": 8070, "WSS": 8071}      # the conference's ports
ROOMS_INSIDE = 5071                      # control's UDP port for the second service


class Member(StreamPhone):

    ports = ROOMS


def credentials(answer, user, method, uri):
    """The header field that answers a challenge (RFC 2617, without qop)."""
    name = "authorization" if answer.status == 401 else "proxy-authorization"
    challenge = answer.get({401: "www-authenticate", 407: "proxy-authenticate"}[answer.status])
    said = dict(re.findall(r'(\w+)="([^"]*)"', challenge))

    def md5(text):
        return hashlib.md5(text.encode()).hexdigest()

    realm, nonce = said["realm"], said["nonce"]
    proof = md5(f"{md5(f'{user}:{realm}:secret')}:{nonce}:{md5(f'{method}:{uri}')}")
    return (f'{name}: Digest username="{user}", realm="{realm}", nonce="{nonce}", uri="{uri}", '
            f'response="{proof}"')


class Over:
    """What is different of phones that have connections."""

    transport = None

    def make_phone(self, host_name, user, **more):
        return StreamPhone(self.lab, host_name, user, self.transport, **more)


class Streams(Over):
    """The flows that are played otherwise, or elsewhere, than over UDP."""

    def test_1_modified(self):
        """re-INVITE and UPDATE from either end, PRACK and CANCEL: either calls, IPv4 and IPv6."""
        for six in (False, True):
            alice, bob = self.phones(f"v{six}-alice", f"v{six}-bob", address6=six)
            for phone in (alice, bob):
                self.known_everywhere(phone.user)
            for caller, callee in ((alice, bob), (bob, alice)):
                call, there = talk(caller, callee)
                for by, other in ((call, there), (there, call)):
                    reinvite(by, other)
                    update(by, other)
                hang_up(there, call)
                self.placed(call, self.reliable(caller, callee), cancelled(caller, callee))

    def reliable(self, caller, callee):
        """A call that is announced by a provisional response with a PRACK (RFC 3262)."""
        call = caller.invite(callee.aor, extra=["Supported: 100rel"])
        asked, cseq = callee.wait("INVITE", call), call.cseq
        callee.reply(asked, 183, "Session Progress", "rel", SDP,
                     [SDP_TYPE, "Require: 100rel", "RSeq: 1"])
        call.learn(caller.wait(183, call))
        caller.send(call.request("PRACK", extra=[f"RAck: 1 {cseq} INVITE"]))
        prack = callee.serve("PRACK", call)
        self.assertEqual(prack.get("rack"), f"1 {cseq} INVITE")
        caller.wait(200, call, wanted=lambda m: "PRACK" in m.get("cseq"))
        callee.reply(asked, 200, "OK", "rel")
        caller.wait(200, call, wanted=lambda m: "INVITE" in m.get("cseq"))
        call.ack(cseq=cseq)
        callee.wait("ACK", call)
        hang_up(callee.dialog_of(asked, "rel"), call)
        return call

    def rooms_listen(self):
        cert, key = self.lab.certificate
        shown = {"certificates": [{"cert": str(cert), "key": str(key)}]}
        return super().rooms_listen() + [
            {"transport": self.transport.lower(), "address": address, "port": ROOMS[self.transport],
             **(shown if self.transport in ("TLS", "WSS") else {})}
            for address in (self.lab.vip, self.lab.vip6)]

    def rooms_inside(self):
        return self.lab.inside, ROOMS_INSIDE

    def member(self, user, address):
        return Member(self.lab, "caller", user, self.transport, address=address)

    def test_9_challenged(self):
        """REGISTER, 401, and with the password; INVITE, 407, and again: each at one backend."""
        for six in (False, True):
            bob, = self.phones(f"c{six}-bob", address6=six)
            self.known_everywhere(bob.user)
            for number in range(8):
                self.challenged(self.make_phone(
                    "callee", f"auth{six}-{number}", address=self.lab.host("callee").address6
                    if six else self.lab.host("callee").address), bob)

    def challenged(self, phone, bob):
        self.addCleanup(phone.socket.close)
        answer = phone.register(status=401)
        phone.register(extra=[credentials(answer, phone.user, "REGISTER", "sip:example.net")])
        call = phone.invite(bob.aor)
        answer = phone.wait(407, call)
        phone.send(phone.ack_failure(call, answer))
        again, there = talk(phone, bob, call_id=call.call_id, cseq=call.cseq + 1,
                            extra=[credentials(answer, phone.user, "INVITE", bob.aor)])
        hang_up(there, again)
        by_call = seen(self.lab, lambda call_id: call_id in (phone.register_call, call.call_id))
        self.assertEqual(len(by_call), 2)
        self.assert_one_backend(by_call, ())
        for found in by_call.values():
            (messages,) = found.values()
            for method in {m.what for m in messages} & {"REGISTER", "INVITE"}:
                self.assertEqual({m.cseq for m in messages if m.what == method}, {"1", "2"}, method)


class Tcp(Streams, test_flows.Flows):

    options = {"streams": ("tcp", "tls")}
    transport = "TCP"

    def place(self, pairs, **more):
        return super().place(pairs, transport="t1", **more)

    def test_1_sipp(self):
        """The same by SIPp, over TCP to UDP."""
        test_flows.Flows.test_1_modified(self)


class Tls(Streams, test_flows.Flows):

    options = {"streams": ("tls",)}
    transport = "TLS"


class Ws(Streams, test_flows.Flows):

    options = {"streams": ("ws", "wss")}
    transport = "WS"


class Wss(Streams, test_flows.Flows):

    options = {"streams": ("wss",)}
    transport = "WSS"


class PresenceTls(Over, test_flows.Presence):

    options = {**test_flows.Presence.options, "streams": ("tls",)}
    transport = "TLS"


class PresenceWss(Over, test_flows.Presence):

    options = {**test_flows.Presence.options, "streams": ("wss",)}
    transport = "WSS"


class Caller(StreamPhone):

    ports = {"TCP": test_backends.PORT, "TLS": 5081, "WSS": 8081}


class Agents(test_backends.UserAgents):
    """Back-to-back user agents behind UDP, called by TCP, TLS and WSS; TCP to whom they call."""

    options = {**test_backends.UserAgents.options, "streams": tuple(
        transport.lower() for transport in Caller.ports)}
    sipp = {"transport": "t1"}
    reach = ";transport=tcp"
    test_3_agent_calls_agent = None                # no phone has a part in it

    @classmethod
    def prepare(cls, lab):
        super().prepare(lab)
        cert, key = lab.certificate
        shown = {"certificates": [{"cert": str(cert), "key": str(key)}]}
        lab.config["services"][-1]["listen"] += [
            {"transport": transport.lower(), "address": address, "port": port,
             **(shown if transport in ("TLS", "WSS") else {})}
            for transport, port in Caller.ports.items() for address in (lab.vip, lab.vip6)]

    def test_4_phones(self):
        """A call by a phone of ours: the agent's own leg is another one; either end hangs up."""
        with ExitStack() as stack:
            bob = stack.enter_context(Phone(self.lab, "callee", "bob"))
            agents = {name: stack.enter_context(B2bua(self.lab, name, lambda user: bob.contact,
                                                      (self.vip, test_backends.PORT),
                                                      self.address(name)))
                      for name in test_backends.AGENTS}
            for transport in Caller.ports:
                ann = stack.enter_context(Caller(self.lab, "caller", "ann", transport))
                for _ in range(4):
                    for caller_ends in (True, False):
                        with self.subTest(transport=transport, caller_ends=caller_ends):
                            self.through_agent(ann, bob, caller_ends)
            self.assertEqual([agent.faults for agent in agents.values()], [[], []])
            self.assertTrue(all(agent.seen for agent in agents.values()), "an agent had no calls")

    def through_agent(self, ann, bob, caller_ends):
        call = ann.invite(f"sip:bob@{self.lab.domain}")
        asked = bob.wait("INVITE")
        self.assertNotEqual(asked.get("call-id"), call.call_id)
        bob.reply(asked, 180, "Ringing", "bob")
        ann.wait(180, call)
        bob.reply(asked, 200, "OK", "bob", SDP, [SDP_TYPE])
        call.learn(ann.wait(200, call)).ack()
        bob.wait("ACK", asked.get("call-id"))
        there = bob.dialog_of(asked, "bob")
        by, other = (call, there) if caller_ends else (there, call)
        by.phone.send(by.request("BYE"))
        other.phone.serve("BYE", other.call_id)
        by.phone.wait(200, by.call_id, wanted=lambda m: "BYE" in m.get("cseq"))


class Agents6(Agents):

    six = True


if __name__ == "__main__":
    main()
