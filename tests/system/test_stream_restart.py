# SPDX-License-Identifier: Apache-2.0
"""
A thousand calls of phones over TCP and TLS while certificates are renewed, while control is restarted
and after it was killed: connections stay, or the phones' new ones find their calls (RFC 5626).
"""
import sys
import time
import uuid

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from netns import tcp_connect                                     # noqa: E402
from phone import PATIENCE, Phone, hang_up, talk                  # noqa: E402
from phones.stream import StreamPhone, trusting                   # noqa: E402
from sip import request                                           # noqa: E402

CALLS = 1000


class OutboundPhone(StreamPhone):
    """A phone that says which one it is, and that this is its first flow (RFC 5626 §4.2)."""

    def __init__(self, *args, **more):
        self.instance = uuid.uuid4()
        super().__init__(*args, **more)

    def make(self, method, uri, **more):
        data = super().make(method, uri, **more)
        if method != "REGISTER":
            return data
        contact = f"<{self.contact}>".encode()
        told = f';reg-id=1;+sip.instance="<urn:uuid:{self.instance}>"\r\nSupported: path, outbound'
        return data.replace(contact, contact + told.encode(), 1)


class Restart(SystemTest):

    options = {"streams": ("tcp", "tls"), "ipv6": False}

    def timed(self, what, begun):
        self.say(f"{what}: {time.monotonic() - begun:.1f} s")

    def establish(self):
        """Phones, each in one call with the same desk, which called half of them."""
        lab, begun = self.lab, time.monotonic()
        self.desk = Phone(lab, "callee", "desk")
        self.addCleanup(lambda: self.desk.socket.close())
        self.desk.register()
        self.phones = []
        for number in range(CALLS):
            phone = OutboundPhone(lab, "caller", f"p{number}", ("TCP", "TLS")[number // 2 % 2])
            self.addCleanup(lambda phone=phone: phone.socket.close())
            phone.register()
            self.phones.append(phone)
        for backend in lab.backends.values():
            wait_for(lambda: backend.registered() > CALLS, 30, f"{backend.name} to know all phones")
        self.timed(f"{CALLS} phones registered", begun)
        begun = time.monotonic()
        self.calls = []                  # (the phone's Dialog, the desk's)
        for number, phone in enumerate(self.phones):
            self.calls.append(talk(phone, self.desk) if number % 4 < 2
                              else talk(self.desk, phone)[::-1])
        self.timed(f"{CALLS} calls established", begun)

    def ask(self, by, other):
        """A request within a call, answered."""
        by.phone.send(by.request("INFO"))
        asked = other.phone.wait("INFO", by.call_id)
        other.phone.reply(asked)
        by.phone.wait(200, by.call_id, wanted=lambda m: "INFO" in m.get("cseq"))

    def go_on(self, after, do, turn=0):
        """Every call goes on: half of them by the phone, half by the desk."""
        begun, lost = time.monotonic(), []
        for number, (call, desk) in enumerate(self.calls):
            try:
                do(*((call, desk) if number % 2 == turn else (desk, call)))
            except (AssertionError, OSError) as error:
                lost.append(f"{call.phone.user} ({call.phone.transport}): {error}")
        self.timed(f"{after}: {len(self.calls) - len(lost)} calls go on, {len(lost)} are lost", begun)
        self.assertEqual(lost, [])

    def come_back(self, after):
        """Every phone sees its connection end, and registers by another one."""
        begun = time.monotonic()
        for phone in self.phones:
            self.assertTrue(phone.connection.ends(), f"{phone.user} is still connected")
            phone.reconnect()
            phone.register()
        self.timed(f"{after}: {len(self.phones)} phones came back", begun)

    def visit(self, context, session=None):
        """
        A TLS connection by which an OPTIONS was answered (a ticket comes before that); from where
        no phone is, as these are as many as one source may have.
        """
        lab = self.lab
        raw = tcp_connect(lab.host("callee").namespace, lab.vip, 5061)
        self.addCleanup(raw.close)
        made = context.wrap_socket(raw, server_hostname=lab.domain, session=session)
        self.addCleanup(made.close)
        made.settimeout(PATIENCE)
        made.sendall(request("OPTIONS", "sip:ping@example.net", made.getsockname()[:2],
                             transport="TLS"))
        self.assertTrue(made.recv(65536).startswith(b"SIP/2.0 200 "))
        return made

    def renew(self):
        """Another certificate: what is connected stays, tickets go on, who comes gets the new one."""
        lab, context = self.lab, trusting(self.lab)
        before = self.visit(context)
        lab.authority.issue("server", [f"DNS:{lab.domain}", f"IP:{lab.vip}"])
        lab.reload()
        after = self.visit(trusting(lab))
        self.assertNotEqual(after.getpeercert()["serialNumber"],
                            before.getpeercert()["serialNumber"])
        self.assertTrue(self.visit(context, before.session).session_reused)
        for phone in self.phones:
            self.assertTrue(phone.connection.ping(), f"{phone.user} was cut off")

    def test_calls(self):
        """1,000 calls over a reload with new certificates, a restart, and kill -9: 0 are lost."""
        control = self.lab.control
        self.establish()
        self.renew()
        self.go_on("new certificates", self.ask)
        control.restart()
        self.lab.wait_acknowledged()
        self.come_back("restart")
        self.go_on("restart", self.ask, turn=1)
        control.kill9()
        control.start()
        self.lab.wait_acknowledged()
        self.come_back("kill -9")
        self.go_on("kill -9", self.ask)
        self.go_on("the end", hang_up, turn=1)


if __name__ == "__main__":
    main()
