# SPDX-License-Identifier: Apache-2.0
"""
Backends that die, come back, shed and flap, found by probes and by their traffic. New requests go
by at once: OPTIONS from one phone, a fresh Call-ID each, which the backends answer themselves.
"""
import os
import re
import signal
import sys
import threading
import time
from collections import Counter

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from sip import Message, Peer, response                           # noqa: E402

AGENT = "10.0.0.50"
PROBE = "<sip:tandem@"             # in the From of control's probes
TIMERS = {"interval": "500ms", "fast_interval": "100ms", "timeout": "400ms", "slow_start": "3s"}
DEFAULTS = {"interval": "1s", "fast_interval": "200ms", "timeout": "800ms", "slow_start": "3s"}
BY_PROBES_S, BY_TRAFFIC_S = 1.5, 0.5
FLAPPING_S = 10
IN_HAND_S = 0.3                    # how long a busy machine may leave a request unanswered


class Agent(threading.Thread):
    """
    A backend that answers everything with 200 and its name. `shed`: so many probes get 503 and
    Retry-After: 5; `mute`: only probes are answered; `gone`: its port is closed.
    """

    def __init__(self, lab):
        super().__init__(name="agent", daemon=True)
        self.lab = lab
        self.shed, self.mute, self.gone, self.ending = 0, False, False, False
        self.whats = []
        self.peer = Peer(lab, "agent", 5060)
        self.start()

    def stop(self):
        self.ending = True
        self.join()
        if self.peer:
            self.peer.socket.close()

    def run(self):
        while not self.ending:
            if self.gone and self.peer:
                self.peer.socket.close()
                self.peer = None
            elif not self.gone and not self.peer:
                self.peer = Peer(self.lab, "agent", 5060)
            message = self.peer.receive(0.02) if self.peer else time.sleep(0.02)
            if message and message.method:
                self.take(message)

    def take(self, message):
        probe = PROBE in message.get("from")
        if not probe:
            self.whats.append((message.method, message.get("call-id")))
        if self.mute and not probe:
            return
        if probe and self.shed:
            self.shed -= 1
            data = response(message, 503, "Full", tag="a").replace(
                b"Content-Length", b"Retry-After: 5\r\nContent-Length")
        else:
            data = response(message, 200, "OK", tag="a").replace(
                b"Content-Length", b"Server: agent\r\nContent-Length")
        self.peer.send(data, message.source)


class Stream(threading.Thread):
    """New requests at a rate until stop(); what became of each."""

    def __init__(self, lab, rate=100):
        super().__init__(name="stream", daemon=True)
        self.rate, self.ending = rate, False
        self.sent, self.answers = {}, {}             # Call-ID → when; → (when, status, Server)
        self.peer = Peer(lab, "caller")
        self.begun = time.monotonic()
        self.start()

    def run(self):
        while not self.ending:
            due = self.begun + len(self.sent) / self.rate
            while time.monotonic() >= due:
                data = self.peer.options()
                self.sent[Message(data).get("call-id")] = time.monotonic()
                self.peer.send(data)
                due = self.begun + len(self.sent) / self.rate
            self.take(due - time.monotonic())

    def take(self, timeout):
        message = self.peer.receive(max(0, timeout))
        if message and message.status:
            self.answers.setdefault(message.get("call-id"), (
                message.time, message.status, message.get("server")))

    def stop(self):
        """Ends it and waits for answers still on their way."""
        self.ending = True
        self.join()
        until = time.monotonic() + 1
        while time.monotonic() < until and len(self.answers) < len(self.sent):
            self.take(0.1)
        self.peer.socket.close()
        return self

    def unanswered(self):
        """When those were sent that got no answer."""
        return sorted(at for call, at in self.sent.items() if call not in self.answers)

    def by(self, since=0, until=float("inf")):
        """Answers to what was sent in between, by who gave them."""
        return Counter(self.answers[call][2] for call, at in self.sent.items()
                       if since <= at < until and call in self.answers)

    def statuses(self):
        return Counter(status for _, status, _ in self.answers.values())


class Health(SystemTest):

    @classmethod
    def prepare(cls, lab):
        lab.config["pools"][0]["health"] = dict(TIMERS)

    def setUp(self):
        self.agent = None
        self.lab.host("agent", AGENT, "inside")
        self.configure()

    def tearDown(self):
        if self.agent:
            self.agent.stop()
        for backend in self.lab.backends.values():
            if not backend.running():
                backend.start()
        super().tearDown()

    def configure(self, agent=False, **health):
        """
        The three Kamailios, and the agent if wanted, and what `health:` says besides. What was
        known of them is forgotten: who was down or doubted shortly before is treated otherwise.
        """
        pool = self.lab.config["pools"][0]
        if pool.pop("health", None):
            self.lab.reload()
            wait_for(lambda: all(b["slow_start"] is None for b in self.shown().values()), 5,
                     "all to be forgotten")
        pool["health"] = {**TIMERS, **health}
        pool["backends"] = [self.lab.backend_entry(name) for name in self.lab.backends]
        if agent:
            pool["backends"].append(self.lab._entry("agent", AGENT))
            self.agent = Agent(self.lab)
        self.lab.reload()
        self.all_in()

    def shown(self):
        return {b["name"]: b for b in self.lab.ctl("show", "backends", json=True)
                if not b["lingering"]}

    def wait_state(self, name, state, timeout=10):
        return wait_for(lambda: (b := self.shown()[name])["state"] == state and b,
                        timeout, f"{name} to be {state}")

    def all_in(self):
        """Every backend is up, with all its weight."""
        wait_for(lambda: all(b["state"] == "up" and b["slow_start"] == 1.0
                             for b in self.shown().values()), 30, "all backends to be in")

    def lines(self, name):
        """What control logged about a backend's states."""
        return re.findall(rf"backend proxies/{name} is (\w+)", self.lab.control.log())

    def found(self, stream, since, limit, what):
        """
        No request sent more than `limit` after a death is lost, or long before it (it may have had
        some in its hands); others' answers are all 200.
        """
        stream.stop()
        lost = [at - since for at in stream.unanswered()]
        self.assertEqual(set(stream.statuses()), {200})
        self.say(f"{what}: {len(lost)} of {len(stream.sent)} requests lost, the last one "
                 f"{max(lost, default=0):.2f} s after it")
        self.assertLessEqual(max(lost, default=0), limit)
        self.assertGreaterEqual(min(lost, default=0), -IN_HAND_S)

    def test_1_kill_and_slow_start(self):
        """kill -9: new requests avoid it; it comes back with few, then its share."""
        lab = self.lab
        stream = Stream(lab)
        time.sleep(0.5)
        died = time.monotonic()
        lab.backends["kam1"].kill9()
        self.assertIn("refused", self.wait_state("kam1", "down")["reason"])
        time.sleep(1.5)
        self.found(stream, died, BY_PROBES_S, "kill -9")
        after = stream.by(died + BY_PROBES_S)
        self.assertEqual(set(after), {"kam2", "kam3"})
        stream = Stream(lab)
        lab.backends["kam1"].start()
        self.assertIn("slow start", self.wait_state("kam1", "up")["reason"])
        back = time.monotonic()
        self.all_in()
        full = time.monotonic()
        time.sleep(2)
        stream.stop()
        first, last = stream.by(back, back + 1), stream.by(full)
        self.say(f"it comes back: in the first second {dict(first)}, with all its weight "
                 f"({full - back:.1f} s later) {dict(last)}")
        self.assertEqual(stream.unanswered(), [])
        self.assertLess(first["kam1"], 0.22 * sum(first.values()))
        self.assertGreater(last["kam1"], 0.22 * sum(last.values()))

    def silence(self, name, silent):
        """A host that takes no packet any more, and says so to nobody."""
        self.lab.net.shell(name, "nft add table inet gone; nft add chain inet gone in "
                           "'{ type filter hook prerouting priority -300; policy drop; }'"
                           if silent else "nft delete table inet gone")

    def after_a_probe(self, name, seconds):
        """So long after a probe came to a backend whose health has the default timers."""
        backend = self.lab.backends[name]
        last = max(message.time for message in backend.messages()
                   if message.ruri == f"sip:{backend.address}:5060")
        time.sleep((last + seconds - time.time()) % 1.0)

    def test_2_silently_gone(self):
        """
        The host is gone: by probes alone, with default timers at the worst moment, just after one,
        and with shorter ones; then by its traffic. First it takes no new calls, then it is down.
        """
        for name, timers, passive, limit in (("kam2", DEFAULTS, False, BY_PROBES_S),
                                             ("kam3", TIMERS, False, BY_PROBES_S),
                                             ("kam1", TIMERS, True, BY_TRAFFIC_S)):
            with self.subTest(name, passive=passive):
                self.configure(**timers, passive=passive)
                stream, before = Stream(self.lab, 200), len(self.lines(name))
                time.sleep(1.5)
                self.after_a_probe(name, 0.01)
                gone = time.monotonic()
                self.silence(name, True)
                reason = self.wait_state(name, "busy")["reason"]
                self.wait_state(name, "down")
                time.sleep(0.5)
                changes = self.lines(name)[before:]
                self.silence(name, False)
                self.found(stream, gone, limit, f"silently gone, probes each {timers['interval']}, "
                           f"passive: {passive} ({reason})")
                self.assertEqual(changes, ["busy", "down"])

    def freeze(self, name, frozen):
        """All of its processes stop, or go on."""
        os.killpg(self.lab.backends[name].process.child.pid,
                  signal.SIGSTOP if frozen else signal.SIGCONT)

    def test_8_frozen_for_a_moment(self):
        """600 ms without an answer to anything: in doubt, and back with its first answer."""
        self.configure(**DEFAULTS, passive=False)
        stream, before = Stream(self.lab, 200), len(self.lines("kam3"))
        time.sleep(2)
        self.after_a_probe("kam3", 0.98)
        frozen = time.monotonic()
        self.freeze("kam3", True)
        try:
            reason = self.wait_state("kam3", "busy", 0.6)["reason"]
            doubted = time.monotonic()
            time.sleep(max(0, frozen + 0.6 - doubted))
        finally:
            self.freeze("kam3", False)
        thawed = time.monotonic()
        shown = self.wait_state("kam3", "up", 1)
        back = time.monotonic()
        time.sleep(1)
        stream.stop()
        self.say(f"frozen for {thawed - frozen:.2f} s: {reason}, after {doubted - frozen:.2f} s; up "
                 f"{back - thawed:.2f} s after its end; {len(stream.unanswered())} of "
                 f"{len(stream.sent)} requests lost")
        self.assertIn("in doubt: no answer to its last", reason)
        self.assertEqual(self.lines("kam3")[before:], ["busy", "up"])
        self.assertEqual(shown["slow_start"], 1.0)
        self.assertLess(back - thawed, 0.3)
        self.assertEqual(stream.unanswered(), [])
        self.assertEqual(set(stream.statuses()), {200})
        self.assertEqual(stream.by(doubted + 0.05, thawed)["kam3"], 0)

    def test_3_all_down(self):
        """503 and Retry-After at once; it recovers by itself."""
        for backend in self.lab.backends.values():
            backend.kill9()
        for name in self.lab.backends:
            self.assertTrue(self.wait_state(name, "down")["reason"])
        with Peer(self.lab, "caller") as caller:
            begun = time.monotonic()
            answer = caller.final(caller.options())
            took = time.monotonic() - begun
            self.assertEqual(answer.status, 503)
            self.assertTrue(answer.get("retry-after"))
            self.assertLess(took, 0.4)               # before the first retransmission
            self.lab.backends["kam3"].start()
            begun = time.monotonic()
            answer = wait_for(lambda: (found := caller.final(caller.options())) and
                              found.status == 200 and found, 15, "a 200")
            self.assertEqual(answer.get("server"), "kam3")
        self.say(f"all down: 503 after {1e3 * took:.0f} ms, Retry-After; 200 again "
                 f"{time.monotonic() - begun:.1f} s after one was started")

    def test_4_sheds(self):
        """503 + Retry-After: 5 to a probe: no new requests for 5 s, its dialogs go on."""
        self.configure(agent=True)
        agent, stream = self.agent, Stream(self.lab)
        with Peer(self.lab, "caller") as caller:
            dialog = wait_for(lambda: (found := caller.final(data := caller.options())) and
                              found.get("server") == "agent" and Message(data), 10,
                              "a call of the agent's")
            agent.shed = 1
            shown = self.wait_state("agent", "busy")
            busy = time.monotonic()
            self.assertIn("answered 503, Retry-After 5 s", shown["reason"])
            time.sleep(0.3)
            before = len(agent.whats)
            begun = time.monotonic()
            answer = caller.final(caller.request("OPTIONS", "sip:ping@example.net", cseq=2,
                                                 call_id=dialog.get("call-id"), to_tag="a"))
            self.assertEqual(answer.get("server"), "agent")
            time.sleep(3.5)
            new = [call for _, call in agent.whats[before:] if call != dialog.get("call-id")]
            self.assertEqual(new, [])
            self.wait_state("agent", "up")
            took = time.monotonic() - busy
        time.sleep(1)
        stream.stop()
        self.assertEqual(stream.unanswered(), [])
        self.assertGreater(stream.by(busy + took)["agent"], 0)
        self.assertEqual(stream.by(begun, begun + 3.5)["agent"], 0)
        self.say(f"shedding: no new requests for {took:.1f} s, its dialog went on")
        self.assertTrue(4.5 < took < 6.5)

    def test_5_answers_probes_only(self):
        """OPTIONS of probes are answered, nothing else: its traffic takes it out."""
        self.configure(agent=True)
        stream = Stream(self.lab, 200)
        time.sleep(1.5)
        self.agent.mute = True
        muted = time.monotonic()
        shown = self.wait_state("agent", "busy")
        time.sleep(1)
        self.agent.mute = False
        self.assertIn("without any answer", shown["reason"])
        self.found(stream, muted, BY_TRAFFIC_S, "answers probes, not calls")

    def test_6_control_restarts(self):
        """What was known stays: nobody flaps, no request is lost."""
        lab = self.lab
        lab.backends["kam1"].kill9()
        self.wait_state("kam1", "down")
        time.sleep(0.5)                              # it is written down, 200 ms later
        stream = Stream(lab)
        for _ in range(2):
            lab.control.kill9()
            time.sleep(0.7)
            lab.control.start()
            until = time.monotonic() + 1.5
            while time.monotonic() < until:
                self.assertEqual({name: b["state"] for name, b in self.shown().items()},
                                 {"kam1": "down", "kam2": "up", "kam3": "up"})
        stream.stop()
        self.assertEqual(stream.unanswered(), [])
        self.assertEqual(set(stream.by()), {"kam2", "kam3"})
        self.say(f"control restarted twice: {len(stream.sent)} requests, none lost, none to kam1")

    def test_7_flaps(self):
        """Each second up and down: at most three changes; the others lose nothing."""
        self.configure(agent=True)
        stream, before = Stream(self.lab, 50), len(self.lines("agent"))
        for second in range(FLAPPING_S):
            self.agent.gone = second % 2 == 0
            time.sleep(1)
        changes = self.lines("agent")[before:]
        self.agent.gone = False
        stream.stop()
        self.say(f"{FLAPPING_S} s of flapping: {changes}, {len(stream.unanswered())} of "
                 f"{len(stream.sent)} requests lost")
        self.assertTrue(1 <= len(changes) <= 3, changes)
        self.assertLess(len(stream.unanswered()), 0.05 * len(stream.sent))

    def test_9_over_tcp(self):
        """Probes over TCP, one connection a backend: killed, restarted, frozen."""
        lab = self.lab
        for backend in lab.backends.values():
            backend.stop()
            backend.tcp = True
            backend.start()
        self.configure(passive=False, transport="tcp")
        stream = Stream(lab, 100)
        time.sleep(2)
        connections = lab.net.shell("kam1", "ss -Htn state established sport = :5060").stdout
        self.assertEqual(len(connections.strip().splitlines()), 1, connections)
        died = time.monotonic()
        lab.backends["kam1"].kill9()
        reason = self.wait_state("kam1", "down")["reason"]
        self.assertIn("refused (no connection)", reason)
        time.sleep(1)
        self.found(stream, died, BY_PROBES_S, f"kill -9, probes over TCP ({reason})")
        begun = time.monotonic()
        lab.backends["kam1"].start()
        self.wait_state("kam1", "up")
        back = time.monotonic() - begun
        self.all_in()
        stream, frozen = Stream(lab, 100), time.monotonic()
        self.freeze("kam2", True)
        try:
            doubt = self.wait_state("kam2", "busy")["reason"]
            reason = self.wait_state("kam2", "down")["reason"]
            time.sleep(2)
        finally:
            self.freeze("kam2", False)
        thawed = time.monotonic()
        self.wait_state("kam2", "up")
        self.say(f"it is back {back:.1f} s after its start; another one frozen: {doubt}; {reason}; "
                 f"up {time.monotonic() - thawed:.1f} s after its end")
        stream.stop()                                # what waited in its socket was answered late
        self.assertEqual(stream.unanswered(), [])
        self.assertEqual(stream.by(frozen + BY_PROBES_S, thawed)["kam2"], 0)


if __name__ == "__main__":
    main()
