# SPDX-License-Identifier: Apache-2.0
"""
The call flows of test_flows.py by phones that come over TCP, TLS, WS and WSS: the same claims, of
control. What SIPp plays there, phones of ours play here; over TCP SIPp calls, too.
"""
import hashlib
import re
import sys

sys.dont_write_bytecode = True

import test_flows                                                 # noqa: E402
from harness import main, seen                                    # noqa: E402
from phone import (SDP, SDP_TYPE, cancelled, hang_up, reinvite, talk,  # noqa: E402
                   update)
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


if __name__ == "__main__":
    main()
