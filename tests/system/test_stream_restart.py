# SPDX-License-Identifier: Apache-2.0
"""
A thousand calls of phones over TCP, TLS and WSS while certificates are renewed, while control is
replaced by SIGUSR2 or restarted, and after it was killed: connections stay, or the phones' new ones
find their calls (RFC 5626). By SIGUSR2 nobody's connect is refused meanwhile.
"""
import os
import re
import shutil
import socket
import sys
import threading
import time
import uuid
from pathlib import Path

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from netns import tcp_connect                                     # noqa: E402
from phone import PATIENCE, Phone, hang_up, talk                  # noqa: E402
from phones.stream import StreamPhone, drained, trusting          # noqa: E402
from sip import request                                           # noqa: E402

CALLS = 1000
REPLACED = 20                          # times in a row
METRICS = 9060
TRANSPORTS = ("TCP", "TLS", "WSS")
REFUSED = re.compile(r"^error: does not start anew: (.*)\n", re.MULTILINE)
SERVICE_RESTART = 1012                 # of WebSocket's codes


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


class Meanwhile:
    """What a thread does again and again while something else goes on; its exception is the end's."""

    def __init__(self, once):
        self.once, self.times, self.error, self.over = once, 0, None, threading.Event()
        self.thread = threading.Thread(target=self.run)

    def run(self):
        try:
            while not self.over.is_set():
                self.once()
                self.times += 1
        except (AssertionError, OSError) as error:
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *failure):
        self.over.set()
        self.thread.join()
        if self.error and not any(failure):
            raise AssertionError(f"after {self.times} times: {self.error!r}") from self.error


class Knocks:
    """
    Connects to whatever control listens to, one after another, from another host than the phones' and
    from its own. An OPTIONS over TCP is answered, or the connection is ended in good order.
    """

    def __init__(self, lab):
        self.lab, self.host, self.answered, self.longest = lab, lab.host("callee"), 0, 0.0

    def unix(self):
        made = socket.socket(socket.AF_UNIX)
        made.settimeout(PATIENCE)
        made.connect(str(self.lab.control_socket))
        return made

    def knock(self):
        begun = time.monotonic()
        with tcp_connect(self.host.namespace, self.lab.vip, 5060) as made:
            self.longest = max(self.longest, time.monotonic() - begun)
            made.settimeout(PATIENCE)
            made.sendall(request("OPTIONS", "sip:ping@example.net", made.getsockname()[:2],
                                 transport="TCP"))
            answer = made.recv(65536)
            assert not answer or answer.startswith(b"SIP/2.0 200 "), answer
            self.answered += bool(answer)
        for port in (5061, 443):
            tcp_connect(self.host.namespace, self.lab.vip, port).close()
        tcp_connect(self.lab.net.full("appliance"), "127.0.0.1", METRICS).close()
        self.unix().close()


class Restart(SystemTest):

    options = {"streams": ("tcp", "tls", "wss"), "ipv6": False}

    @classmethod
    def prepare(cls, lab):
        lab.config["control"]["metrics"] = f"127.0.0.1:{METRICS}"

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
            phone = OutboundPhone(lab, "caller", f"p{number}", TRANSPORTS[number // 2 % 3])
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
            self.said(phone.connection, after)
            phone.reconnect()
            phone.register()
        self.timed(f"{after}: {len(self.phones)} phones came back", begun)

    def said(self, connection, after):
        """What a WebSocket was told before its end."""
        while connection.transport == "WSS" and connection.take_frame() is not None:
            pass
        if connection.transport == "WSS" and after.startswith("SIGUSR2"):
            self.assertEqual(connection.close_code, SERVICE_RESTART)

    def pair(self, name):
        """A call between two phones over UDP: (the caller's Dialog, the callee's)."""
        caller, callee = (Phone(self.lab, host, f"{name}-{host}") for host in ("caller", "callee"))
        for phone in (caller, callee):
            self.addCleanup(phone.socket.close)
            phone.register()
        for backend in self.lab.backends.values():
            wait_for(lambda: backend.registered() >= 2, 30, f"{backend.name} to know them")
        return talk(caller, callee)

    def chat(self):
        """
        A request over UDP, sent once, and its answer: by the callee, or by a backend that had other
        things to do (one in thousands, from Kamailio on a busy machine).
        """
        by, other = self.udp
        by.phone.send(by.request("INFO"))
        asked = other.phone.find(PATIENCE, lambda m: m.method == "INFO")
        if asked:
            other.phone.reply(asked)
        answer = by.phone.find(PATIENCE, lambda m: "INFO" in m.get("cseq") and m.status >= 200)
        self.assertTrue(answer and answer.status == 200 if asked else answer and
                        answer.status >= 500, f"{by.phone.user}: {asked and asked.start}, "
                        f"{answer and answer.start}")

    def replace(self, after):
        """SIGUSR2: the same process, and nobody else is disturbed while it goes on."""
        lab, control = self.lab, self.lab.control
        pid, begun, knocks = control.pid, time.monotonic(), Knocks(lab)
        witness = self.visit(trusting(lab))
        witness.suppress_ragged_eofs = False           # an end without close_notify is an error
        with Meanwhile(knocks.knock) as outside, Meanwhile(self.chat) as udp:
            wait_for(lambda: outside.times and udp.times, PATIENCE, "both to go on")
            control.replace()
            lab.wait_acknowledged()
            times = outside.times
            wait_for(lambda: outside.times > times or not outside.thread.is_alive(), PATIENCE,
                     "the successor's answer")
        self.assertTrue(control.running())
        self.assertEqual(control.pid, pid)
        self.assertEqual(drained(witness), b"")
        self.timed(f"{after}: {knocks.answered} of {outside.times} OPTIONS answered, 0 of "
                   f"{5 * outside.times} connects refused, the longest took "
                   f"{knocks.longest * 1000:.0f} ms, 0 of {udp.times} requests over UDP lost", begun)

    def refused(self, why, configured=None):
        """SIGUSR2 that comes to nothing: all stays as it is."""
        lab, control = self.lab, self.lab.control
        before = len(control.log())
        if configured is not None:
            lab.write_config(configured)
        control.replace(wait=False)
        wait_for(lambda: REFUSED.search(control.log()[before:]), 30, "its refusal")
        said = control.log()[before:]
        self.assertIn(why, REFUSED.search(said)[1])
        if configured is not None:
            lab.write_config()
            self.assertRegex(said, r"tandem\.yaml:\d+: ")
        self.say(said.strip().splitlines()[-1])

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
        """
        1,000 calls over a reload with new certificates, hand-overs (SIGUSR2), a restart, and
        kill -9: 0 are lost.
        """
        control = self.lab.control
        self.udp = self.pair("udp")
        self.establish()
        self.renew()
        self.go_on("new certificates", self.ask)
        self.refused("status 1", "node: [")
        for phone in self.phones:
            self.assertTrue(phone.connection.ping(), f"{phone.user} was cut off")
        for after in ("SIGUSR2", "SIGUSR2 again"):
            self.replace(after)
            self.come_back(after)
            self.go_on(after, self.ask, turn=len(after) % 2)
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

    def resources(self):
        """Descriptors, filters of system calls and threads of control."""
        pid = self.lab.control.pid
        status = dict(line.split(":\t", 1) for line in
                      Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines())
        return {"descriptors": len(os.listdir(f"/proc/{pid}/fd")),
                **{name: int(status[name].split()[0]) for name in ("Seccomp_filters", "Threads")}}

    def test_again_and_again(self):
        """20 hand-overs in a row: nothing piles up, and the last one still answers."""
        control, first = self.lab.control, None
        for _ in range(REPLACED):
            control.replace()
            self.lab.wait_acknowledged()
            first = first or self.resources()
        wait_for(lambda: self.resources() == first, PATIENCE,
                 f"{first}, not {self.resources()}")
        self.say(f"after {REPLACED}: {first}")
        self.visit(trusting(self.lab)).close()
        self.assertEqual(self.lab.reload()[0], 0)

    def test_threads(self):
        """A successor with more threads, then with fewer: sockets of those too many are emptied first."""
        lab, knocks = self.lab, Knocks(self.lab)
        self.addCleanup(lab.control.restart)
        before = self.resources()["Threads"]
        for number in (4, 1):
            lab.config["control"]["streams"] = {"threads": number}
            lab.write_config()
            with Meanwhile(knocks.knock) as outside:
                wait_for(lambda: outside.times, PATIENCE, "it to begin")
                lab.control.replace()
                lab.wait_acknowledged()
                times = outside.times
                wait_for(lambda: outside.times > times + 10 or not outside.thread.is_alive(),
                         PATIENCE, "the successor's answers")
            self.assertEqual(self.resources()["Threads"], before - 1 + number)
        self.say(f"{knocks.answered} OPTIONS answered, no connect refused")

    def test_another_version(self):
        """What follows is what the name leads to by then, if that runs."""
        lab, control = self.lab, self.lab.control
        process, link = control.process, lab.dir / "tandem-control.link"
        binary, copied = lab.program("control"), lab.dir / "tandem-control.next"
        before = process.argv
        shutil.copy(binary, copied)
        link.symlink_to(binary)
        control.stop()
        process.argv = [str(link) if word == str(binary) else word for word in before]
        control.start()
        process.argv = before                          # of the next start
        self.addCleanup(control.restart)
        lab.wait_acknowledged()
        link.unlink()
        link.symlink_to("/bin/false")
        self.refused("its check ended with status 1")
        link.unlink()
        self.refused("it cannot be run: No such file")
        link.symlink_to(copied)
        control.replace()
        lab.wait_acknowledged()
        self.assertEqual(os.readlink(f"/proc/{control.pid}/exe"), str(copied))
        link.unlink()
        link.write_text('#!/bin/sh\nrm "$0"\n', encoding="ascii")   # is good, and then is gone
        link.chmod(0o755)
        control.replace()
        lab.wait_acknowledged()
        self.assertIn("this version goes on in its place", control.log())
        self.assertEqual(os.readlink(f"/proc/{control.pid}/exe"), str(copied))


if __name__ == "__main__":
    main()
