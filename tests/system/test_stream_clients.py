# SPDX-License-Identifier: Apache-2.0
"""
Phones of others over streams, real Kamailios behind: baresip and linphone over TLS, SIP.js in
Chromium over WebSocket, each registers, calls, is called, and both ends hang up.
"""
import sys
import unittest

sys.dont_write_bytecode = True

from harness import SystemTest, main, seen                        # noqa: E402
from phone import Phone                                           # noqa: E402
from phones.baresip import Baresip, can_baresip                   # noqa: E402
from phones.browser import Browser, can_browser                   # noqa: E402
from phones.linphone import Linphone, can_linphone                # noqa: E402
from phones.stream import StreamPhone                             # noqa: E402


class Clients(SystemTest):

    options = {"streams": ("tcp", "tls", "ws", "wss")}

    def ours(self, user, transport, host_name="caller", six=False):
        """A registered phone of our own at the other end."""
        there = self.lab.host(host_name)
        address = there.address6 if six else there.address
        made = (Phone(self.lab, host_name, user, address=address) if transport == "UDP" else
                StreamPhone(self.lab, host_name, user, transport, address=address))
        self.addCleanup(lambda: made.socket.close())
        made.register()
        self.known_everywhere(user)
        return made

    def both_ways(self, theirs, ours):
        """Four calls between a phone of others and one of ours: who calls, who hangs up."""
        calls = []
        for we_end in (True, False):
            call = ours.invite(theirs.aor)
            theirs.answer()
            call.learn(ours.wait(200, call)).ack()
            theirs.established()
            self.end(theirs, ours, call, we_end)
            calls.append(call.call_id)
            theirs.dial(ours.aor)
            call = ours.answer()
            theirs.established()
            self.end(theirs, ours, call, we_end)
            calls.append(call.call_id)
        by_call = seen(self.lab, lambda call_id: call_id in calls)
        self.assertEqual(set(by_call), set(calls))
        self.assert_one_backend(by_call, ("INVITE", "200", "ACK", "BYE"))
        self.say(f"{theirs.user} and {ours.user}: 4 calls at {self.shares(by_call)}")

    def end(self, theirs, ours, call, we_end):
        if we_end:
            self.assertEqual(call.ask("BYE").status, 200)
        else:
            theirs.hang_up()
            ours.serve("BYE", call)
        theirs.closed()

    @unittest.skipUnless(can_baresip(), "baresip is not installed")
    def test_1_baresip(self):
        """baresip over TLS and TCP, IPv4 and IPv6, with phones over UDP and TLS."""
        for transport, six, other in (("tcp", False, "UDP"), ("tcp", True, "TCP"),
                                      ("tls", False, "UDP"), ("tls", True, "TLS"),
                                      ("tls", False, "WSS")):
            with self.subTest(transport=transport, six=six, other=other):
                user = f"bare{transport}{other.lower()}{6 if six else 4}"
                theirs = Baresip(self.lab, "callee", user, transport, six)
                try:
                    self.known_everywhere(user)
                    self.both_ways(theirs, self.ours(f"with{user}", other, six=six))
                finally:
                    theirs.stop()

    @unittest.skipUnless(can_linphone(), "linphone-cli is not installed")
    def test_2_linphone(self):
        """linphone over TCP, and over TLS: it believes our authority alone, and checks the name."""
        for transport, others in (("tcp", ("UDP",)), ("tls", ("UDP", "TLS"))):
            theirs = Linphone(self.lab, "callee", f"lin{transport}", transport)
            try:
                self.known_everywhere(theirs.user)
                for other in others:
                    with self.subTest(transport=transport, other=other):
                        self.both_ways(theirs, self.ours(f"with{theirs.user}{other.lower()}", other))
            finally:
                theirs.stop()

    @unittest.skipUnless(can_baresip() and can_linphone(), "baresip and linphone are not installed")
    def test_3_each_other(self):
        """baresip and linphone over TLS call each other, and either hangs up."""
        bare = Baresip(self.lab, "callee", "meetbare")
        lin = None
        try:
            lin = Linphone(self.lab, "caller", "meetlin")
            for phone in (bare, lin):
                self.known_everywhere(phone.user)
            for caller, callee, first in ((bare, lin, bare), (lin, bare, bare), (bare, lin, lin)):
                caller.dial(callee.aor)
                callee.answer()
                caller.established()
                callee.established()
                first.hang_up()
                caller.closed()
                callee.closed()
        finally:
            for phone in filter(None, (bare, lin)):
                phone.stop()

    def test_4_browser(self):
        """SIP.js in Chromium over WSS: two of them hear each other; calls with UDP and TLS."""
        if not can_browser(self.lab.build):
            self.skipTest("no chromium, or no SIP.js in the build directory (setup_sip_js)")
        browser = Browser(self.lab, "callee")
        self.addCleanup(browser.stop)
        ann, bob = browser.phone("webann"), browser.phone("webbob")
        for user in (ann.user, bob.user):
            self.known_everywhere(user)
        calls = []
        for caller, callee, first in ((ann, bob, ann), (bob, ann, ann)):
            caller.dial(callee.aor)
            callee.answer()
            calls.append(caller.established())
            self.assertEqual(callee.established(), calls[-1])
            self.say(f"packets heard: {caller.hears()} and {callee.hears()}")
            first.hang_up()
            caller.closed()
            callee.closed()
        by_call = seen(self.lab, lambda call_id: call_id in calls)
        self.assert_one_backend(by_call, ("INVITE", "200", "ACK", "BYE"))
        self.assertEqual(len(by_call), 2)
        for transport in ("UDP", "TLS"):
            plain = browser.phone(f"web{transport.lower()}", media=False)
            self.known_everywhere(plain.user)
            self.both_ways(plain, self.ours(f"with{plain.user}", transport))


if __name__ == "__main__":
    main()
