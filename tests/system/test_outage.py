# SPDX-License-Identifier: Apache-2.0
"""
Backends that die, vanish, flap, shed or are deaf, under load, in a cluster whose backends can serve
each other's dialogs (share: dialogs; locations shared by DMQ). How soon new calls avoid them, what
becomes of those in progress, and how they come back. Then control killed during a drain, and a
thousand reloads.

    TANDEM_LONG     1: all of it, at length: 20,000 calls after a kill, a thousand reloads,
                    Kamailio's dispatcher in Tandem's place, and what test_health does with
                    OPTIONS: a host that probes find silent, a minute of flapping
    TANDEM_SIX      1: over IPv6, without the dispatcher
"""
import sys
import time
import unittest
from pathlib import Path

sys.dont_write_bytecode = True

from harness import DRIVER, SystemTest, main, wait_for            # noqa: E402
from lab.dispatcher import Dispatcher                             # noqa: E402
from load import (FULL_S, HOLD_MS, LAB, LONG, RATE, SIX, Load,    # noqa: E402
                  Story, Wire, probed_from, spread)
from sip import Peer                                              # noqa: E402

DEAD_S = 105 if LONG else 4        # how long a killed backend stays away
SLOW_S = 6 if LONG else 4          # its slow start
FLAPPING_S = 60
RELOADS = 1000 if LONG else 300
VICTIM = "kam2"
PROBES_S, PASSIVE_S = 1.5, 0.5     # until new calls avoid a dead backend
GRACE_S = 0.05                     # what was on its way to it, and never logged
KILLED, SILENT = "is killed", "is silently gone"
FIGURES = {}                       # of the dispatcher, event: {what: figure}, for the table


class Kill(SystemTest):
    """What becomes of calls when VICTIM, one of four, is gone."""

    options, six = LAB, SIX

    def stop_wire(self, name=VICTIM, up=False):
        """The host's plug is pulled, or put back: nobody says that it is gone."""
        self.lab.net.ip("switch", "link", "set", f"{name}-eth0", "up" if up else "down")

    def wire(self):
        return Wire(self.lab, self.address(VICTIM))

    def stories(self, load):
        return {call: Story(found) for call, found in load.seen().items()}

    def figures(self, load, wire, when, until):
        """
        VICTIM was gone from `when` to `until`. Ends the load; ({what: figure}, Outcome, {Call-ID:
        Story}, the Call-IDs that were in a transaction there).
        """
        outcome, sent, stories = load.end(), wire.first(), self.stories(load)
        late = [at - when for at in sent.values() if when < at < until]
        last = max(late, default=0)
        own = {call: story for call, story in stories.items()
               if story.first == VICTIM and story.begun < when}
        busy = {call for call, story in own.items() if self.in_transaction(story, when)}
        busy |= {call for call, at in sent.items() if when - GRACE_S < at < when
                 and (call not in stories or stories[call].begun > when)}
        talking = {call: story for call, story in own.items() if call not in busy
                   and story.at("200", "INVITE", when) and not story.at("BYE", "BYE", when)}
        elsewhere = [call for call, story in talking.items()
                     if story.at("BYE", "BYE") not in (None, VICTIM)]
        others = {call: story for call, story in stories.items()
                  if story.first != VICTIM and call not in sent}
        after = [sum(1 for story in stories.values() if story.first == name
                     and when + last < story.begun < until)
                 for name in self.lab.backends if name != VICTIM]
        far, may = spread(after)
        return {"calls placed": outcome.placed, "calls failed": outcome.failed,
                "failed at the callee only": outcome.unsettled,
                "in a transaction there": len(busy),
                "of these failed": len(outcome.lost & busy),
                "new calls sent there after it was gone": len(late),
                "the last one after so many ms": round(last * 1000),
                "dialogs there": len(talking), "of these ended at another": len(elsewhere),
                "of these failed ": len(outcome.lost & set(talking)),
                "others' calls": len(others),
                "of these failed  ": len(outcome.lost & set(others)),
                "of these moved": sum(1 for story in others.values() if len(story.where) > 1),
                "calls at the others afterwards": "/".join(map(str, after)),
                "percent from even": round(far, 1), "limit for so few": round(may, 1),
                }, outcome, stories, busy

    @staticmethod
    def in_transaction(story, when):
        """Whether its INVITE or BYE had no answer at that moment, or its 200 no ACK."""
        for method in ("INVITE", "BYE"):
            if story.at(method, method, when):
                finals = [m for time_, _, m in story.messages if m.method == method
                          and m.what.isdigit() and int(m.what) >= 200 and time_ < when]
                if not finals:
                    return True
        return bool(story.at("200", "INVITE", when)) and not story.at("ACK", "ACK", when)


@unittest.skipUnless(LONG and not SIX, "TANDEM_LONG is not set, or TANDEM_SIX is")
class ByDispatcher(Kill):
    """Kamailio's dispatcher in Tandem's place, for the table: its failures are none of ours."""

    options = {**Kill.options, "tandem": False}

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dispatcher = Dispatcher(cls.lab).start()

    def tearDown(self):
        self.assertTrue(self.dispatcher.process.running(), "the dispatcher died")

    def outage(self, event, tag, away_s, go, back, **options):
        load = Load(self, tag, **options)
        with self.wire() as wire:
            time.sleep(FULL_S)
            go()
            when = time.time()
            time.sleep(away_s)
            until = time.time()
            back()
            time.sleep(3)
            FIGURES[event], *_ = self.figures(load, wire, when, until)
        self.say(f"{VICTIM} {event}, dispatcher: {FIGURES[event]}")
        wait_for(lambda: self.dispatcher.states()[VICTIM] == "AP", 30, f"{VICTIM} to be active")

    def test_1_killed(self):
        victim = self.lab.backends[VICTIM]
        self.outage(KILLED, "killed", DEAD_S, victim.kill9, victim.start)

    def test_2_silent(self):
        self.outage(SILENT, "silent", 6, self.stop_wire, lambda: self.stop_wire(up=True),
                    hold_ms=3000)


class Outage(Kill):
    """Tandem."""

    @classmethod
    def prepare(cls, lab):
        lab.config["pools"][0] |= {"share": "dialogs", "health": {"slow_start": "2s"}}
        lab.config["node_address"] = probed_from(lab)

    def setUp(self):
        """What was observed before is forgotten: one that went again would stay away longer."""
        self.lab.control.stop()
        (self.lab.dir / "state/health.json").unlink(missing_ok=True)
        self.lab.control.start()
        self.health()
        self.all_well()

    def tearDown(self):
        super().tearDown()
        left = {name: b["calls"] for name, b in self.backends().items() if b["calls"]}
        self.say(f"calls that are still counted by backend: {left}")

    def health(self, **keys):
        """`health:` of the pool from now on: defaults, a short slow start, and these."""
        self.lab.config["pools"][0]["health"] = {"slow_start": "2s", **keys}
        self.lab.reload()

    def backend(self, name=VICTIM):
        return self.backends()[name]

    def backends(self):
        return {b["name"]: b for b in self.lab.ctl("show", "backends", json=True)}

    def all_well(self, timeout=30):
        wait_for(lambda: all(b["state"] == "up" and b["slow_start"] == 1
                             for b in self.backends().values()), timeout, "all backends to be up")

    def wait_state(self, state, timeout, name=VICTIM):
        """Seconds until it is in that state."""
        begun = time.time()
        wait_for(lambda: self.backend(name)["state"] == state, timeout, f"{name} to be {state}")
        return time.time() - begun

    def judge(self, load, wire, when, until, limit_s, event):
        """The table of figures() must be as the contract says; (Outcome, {Call-ID: Story})."""
        figures, outcome, stories, busy = self.figures(load, wire, when, until)
        self.show(event, {"Tandem": figures, "dispatcher": FIGURES.get(event)})
        self.assertGreater(figures["dialogs there"], 20, "there was nothing to lose")
        self.assertLess(figures["the last one after so many ms"], limit_s * 1000)
        self.assertEqual(outcome.failed, len(outcome.lost), outcome.errors)
        self.assertEqual(outcome.lost - busy, set(), outcome.errors)
        # Its ACK went down with the backend: the callee never hears another.
        self.assertLessEqual(outcome.unsettled, len(busy), outcome.errors)
        self.assertEqual(figures["of these ended at another"], figures["dialogs there"])
        self.assertEqual(figures["of these moved"], 0)
        self.assertLess(figures["percent from even"], figures["limit for so few"])
        wait_for(lambda: self.backend()["calls"] == 0, 5, "no call to be counted there any more")
        return outcome, stories

    def show(self, event, table):
        table = {who: figures for who, figures in table.items() if figures}
        head = f"{VICTIM} {event}, {DRIVER}{', IPv6' if SIX else ''}"
        self.say(f"{head:42}" + "".join(f"{who:>18}" for who in table))
        for what in table["Tandem"]:
            self.say(f"{what:42}" + "".join(f"{figures[what]:>18}" for figures in table.values()))

    def even_slots(self):
        """The others' shares of the table, by `show` and by what a drain would move."""
        shares = {name: b["share_expected"] for name, b in self.backends().items()
                  if name != VICTIM}
        even = 1 / len(shares)
        self.say("shares of the table: " + ", ".join(f"{n} {s:.4f}" for n, s in shares.items()))
        for name, share in shares.items():
            self.assertLess(abs(share - even) / even, 0.05, name)
        status, said, _ = self.lab.ctl("drain", "kam1", "--dry-run")
        self.assertEqual(status, 0)
        self.say(f"dry run: {said.strip().splitlines()[0]}")
        self.assertIn("live dialogs that move: 0", said)

    def ramp(self, seconds):
        """[(seconds since now, share of weight, share of new calls)], one for each step."""
        begun, steps = time.time(), []
        while time.time() - begun < seconds:
            now = self.backend()
            if now["state"] == "up" and (not steps or steps[-1][1] != now["slow_start"]):
                steps.append((round(time.time() - begun, 1), now["slow_start"],
                              round(now["share_expected"], 3)))
            if now["state"] == "up" and now["slow_start"] == 1:
                break
            time.sleep(0.1)
        return steps

    def test_1_killed_found_by_probes(self):
        """kill -9; ICMP says so to the next probe. It comes back slowly."""
        lab = self.lab
        self.health(passive=False, slow_start=f"{SLOW_S}s")
        load = Load(self, "killed")
        with self.wire() as wire:
            time.sleep(FULL_S)
            lab.backends[VICTIM].kill9()
            when = time.time()
            self.wait_state("down", 5)
            self.say(f"down: {self.backend()['reason']}")
            self.even_slots()
            time.sleep(DEAD_S)
            until = time.time()
            lab.backends[VICTIM].start()
            steps = self.ramp(25)
            time.sleep(1)
            outcome, stories = self.judge(load, wire, when, until, PROBES_S, KILLED)
        self.say(f"back: {steps}")
        self.assertGreaterEqual(len(steps), 5)
        weights = [weight for _, weight, _ in steps]
        self.assertEqual(weights, sorted(weights))
        self.assertLess(steps[0][2], 0.1)
        self.assertEqual(steps[-1][1], 1)
        again = sorted(story.begun for story in stories.values()
                       if story.first == VICTIM and story.begun > until)
        part = SLOW_S / 3
        early, late = (sum(1 for at in again if again[0] + a <= at < again[0] + a + part)
                       for a in (0, 2 * part))
        self.say(f"calls there in the first {part:.1f} s: {early}, in the third: {late}")
        self.assertLess(early * 1.5, late)

    def test_2_vanished_found_by_traffic(self):
        """The host is silently gone; no probe in time: its calls without answers tell."""
        lab = self.lab
        self.health(interval="60s")
        load = Load(self, "vanished", hold_ms=3000)
        with self.wire() as wire:
            time.sleep(FULL_S)
            self.stop_wire()
            when = time.time()
            wait_for(lambda: self.backend()["state"] != "up", 5, f"{VICTIM} to be out")
            self.say(f"{self.backend()['state']}: {self.backend()['reason']}")
            time.sleep(3)
            until = time.time()
            self.stop_wire(up=True)
            self.health()
            self.judge(load, wire, when, until, PASSIVE_S, SILENT)

    @unittest.skipUnless(LONG, "TANDEM_LONG is not set")
    def test_3_vanished_found_by_probes(self):
        """The host is silently gone, and traffic may not tell."""
        lab = self.lab
        self.health(passive=False)
        load = Load(self, "silent", hold_ms=3000)
        with self.wire() as wire:
            time.sleep(FULL_S)
            self.stop_wire()
            when = time.time()
            self.wait_state("down", 8)
            self.say(f"down: {self.backend()['reason']}")
            time.sleep(3)
            until = time.time()
            self.stop_wire(up=True)
            self.judge(load, wire, when, until, PROBES_S, SILENT)

    def changes(self, since):
        """What control's log says of VICTIM since then (a length of the log)."""
        return [line for line in self.lab.control.log(True)[since:].splitlines()
                if f"{VICTIM} is " in line]

    def flap(self, tag, go, back):
        """A second there, a second gone, again and again: it stays out; nobody else notices."""
        before = len(self.lab.control.log(True))
        load = Load(self, tag, hold_ms=2000)
        with self.wire() as wire:
            time.sleep(3)
            begun = time.time()
            while time.time() < begun + FLAPPING_S:
                go()
                time.sleep(1)
                back()
                time.sleep(1)
            changes = self.changes(before)
            outcome = load.end()
            stories = self.stories(load)
            sent = wire.first()
        elsewhere = set(stories) - set(sent)
        said = "; ".join(line.partition(VICTIM)[2][:60] for line in changes)
        self.say(f"{outcome.placed} calls, {outcome.failed} failed, "
                 f"{len(outcome.lost - set(sent))} of the {len(elsewhere)} that were never sent "
                 f"to it; {len(changes)} changes of state in {FLAPPING_S} s: {said}")
        self.assertEqual(outcome.failed, len(outcome.lost), outcome.errors)
        self.assertEqual(outcome.lost - set(sent), set(), outcome.errors)
        self.assertTrue(1 <= len(changes) <= 3, changes)

    @unittest.skipUnless(LONG, "TANDEM_LONG is not set")
    def test_4_flaps(self):
        """It is killed: ICMP says so."""
        victim = self.lab.backends[VICTIM]
        self.flap("flaps", victim.kill9, victim.start)

    @unittest.skipUnless(LONG, "TANDEM_LONG is not set")
    def test_4_flaps_silently(self):
        """Its wire is loose: traffic tells first."""
        self.flap("loose", self.stop_wire, lambda: self.stop_wire(up=True))

    def test_5_deaf(self):
        """It answers OPTIONS and in dialogs, not INVITE: ejected by what its traffic shows."""
        lab = self.lab
        load = Load(self, "deaf", hold_ms=2000)
        time.sleep(4)
        lab.backends[VICTIM].mood("deaf")
        when = time.time()
        wait_for(lambda: self.backend()["state"] == "busy", 10, f"{VICTIM} to be ejected")
        took, reason = time.time() - when, self.backend()["reason"]
        time.sleep(1)
        lab.backends[VICTIM].mood("well")
        outcome = load.end()
        self.say(f"ejected after {took:.2f} s: {reason}; {outcome.placed} calls, {outcome.failed} "
                 "failed")
        stories = self.stories(load)
        touched = {call for call, story in stories.items() if VICTIM in story.where}
        self.assertEqual(outcome.lost - touched, set(), outcome.errors)

    def shed(self, mood, limit_s, why, hold_ms=HOLD_MS):
        """
        503 and Retry-After: 5 from VICTIM, in that mood until this is noticed, within limit_s, as
        the reason `why`: no new calls for 5 s, its dialogs go on.
        """
        lab, victim = self.lab, self.lab.backends[VICTIM]
        load = Load(self, mood, hold_ms=hold_ms)
        time.sleep(FULL_S)
        when = time.time()
        victim.mood(mood)
        self.wait_state("busy", limit_s)
        busy = time.time()
        wait_for(lambda: why in self.backend()["reason"], max(0.1, when + limit_s - busy),
                 f"{VICTIM} to be busy by `{why}`")
        reason = self.backend()["reason"]
        victim.mood("well")
        self.wait_state("up", 30)
        up = time.time()
        time.sleep(1)
        outcome = load.end()
        stories = self.stories(load)
        own = {call: story for call, story in stories.items() if story.first == VICTIM}
        refused = {call for call, story in own.items() if story.at("503", "INVITE") or
                   (when - GRACE_S < story.begun < busy + GRACE_S
                    and not story.at("200", "INVITE"))}
        begun = sorted(story.begun for story in own.values())
        gap, since = max((b - a, a) for a, b in zip(begun, begun[1:]))
        on = {call: story for call, story in own.items() if story.at("200", "INVITE", busy)
              and not story.at("BYE", "BYE", busy)}
        ended = sum(1 for story in on.values() if story.at("200", "BYE") == VICTIM)
        self.say(f"{mood}: busy after {busy - when:.2f} s ({reason}), for {up - busy:.2f} s; "
                 f"no new calls for {gap:.2f} s; {len(on)} dialogs there then, {ended} of them "
                 f"ended there; {len(refused)} calls were refused before it was known; "
                 f"{outcome.failed} of {outcome.placed} failed")
        self.assertGreater(gap, 4.9)
        self.assertTrue(when < since < busy + GRACE_S, "that was another moment")
        self.assertGreater(len(on), 20, "there was nothing to go on")
        self.assertEqual(ended, len(on))
        self.assertEqual(outcome.lost - refused, set(), outcome.errors)
        self.assertEqual([s for s in stories.values() if len(s.where) > 1], [])

    def test_6_sheds(self):
        """It says so to probes, too: they tell for how long, even if its calls were noticed first."""
        self.shed("shedding", 2, "Retry-After 5 s")

    def test_6_sheds_calls_only(self):
        """OPTIONS are answered with 200: its traffic tells."""
        self.shed("full", 4, "answered 503")

    def test_7_control_dies_in_a_drain(self):
        """kill -9 of control during `drain --wait`: no new calls there meanwhile; it goes on."""
        lab = self.lab
        load = Load(self, "drain")
        time.sleep(FULL_S)
        ctl = lab.popen("appliance", lab.build / "control/tandemctl", "--socket",
                        lab.control_socket, "drain", VICTIM, "--wait", "--calls-only",
                        "--timeout", "30s")
        wait_for(lambda: self.backend(VICTIM)["state"] == "draining", 5, "the drain to begin")
        drained = time.time()
        lab.control.kill9()
        time.sleep(2)
        lab.control.start()
        lab.wait_acknowledged()
        self.assertEqual(self.backend(VICTIM)["state"], "draining")
        status = ctl.wait(30)
        empty = time.time()
        left = self.backend(VICTIM)["calls"]
        self.say(f"drain --wait: status {status}, {empty - drained:.1f} s, {left} calls left: "
                 f"{ctl.log().strip().splitlines()[-1]}")
        lab.ctl("enable", VICTIM)
        outcome = load.end()
        stories = self.stories(load)
        late = [s for s in stories.values()
                if s.first == VICTIM and drained + 0.2 < s.begun < empty]
        went_on = sum(1 for s in stories.values() if s.first == VICTIM and s.begun < drained
                      and s.messages[-1][0] > drained)
        moved = sum(1 for s in stories.values() if len(s.where) > 1)
        self.say(f"{outcome.placed} calls, {outcome.failed} failed; {len(late)} new ones there "
                 f"while it drained; {went_on} went on there; {moved} moved")
        self.assertEqual((status, left, outcome.failed, outcome.unsettled, len(late), moved),
                         (0, 0, 0, 0, 0, 0), outcome.errors)

    @staticmethod
    def size(daemon):
        """Resident memory in KiB."""
        for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1])
        return 0

    def test_8_reloads(self):
        """Reloads in a row, each of another configuration, under load."""
        lab = self.lab
        load = Load(self, "reloads", hold_ms=2000)
        entry = lab.pool()[0]
        sizes, begun, first = [], time.time(), lab.generation()["generation"]
        for number in range(RELOADS):
            entry["weight"] = 99 + 2 * (number % 2)
            lab.write_config()
            status, said, errors = lab.ctl("reload")
            self.assertEqual(status, 0, f"{said}{errors}")
            if number + 1 in (100, RELOADS // 2, RELOADS):
                sizes.append((number + 1, self.size(lab.control), self.size(lab.dataplane)))
        took = time.time() - begun
        lab.wait_acknowledged()
        entry["weight"] = 100
        outcome = load.end()
        generations = lab.generation()["generation"] - first
        by_call = load.seen()
        moved = sum(1 for found in by_call.values() if len(found) > 1)
        self.say(f"{RELOADS} reloads in {took:.1f} s, {generations} generations; {outcome.placed} "
                 f"calls, {outcome.failed} failed, {moved} moved; (reloads, KiB of control, KiB of "
                 f"the data plane): {sizes}")
        self.assertEqual((outcome.failed, outcome.unsettled, moved), (0, 0, 0), outcome.errors)
        self.assertGreaterEqual(generations, RELOADS)
        for which in (1, 2):
            self.assertLess(sizes[-1][which], sizes[0][which] * 1.05, sizes)

    def test_9_all_down(self):
        """Nobody is left: 503 and Retry-After at once, and who is asked says why. It recovers."""
        lab = self.lab
        load = Load(self, "down", hold_ms=3000)
        time.sleep(4)
        for name in lab.backends:
            self.stop_wire(name)
        gone = time.time()
        wait_for(lambda: all(b["state"] == "down" for b in self.backends().values()), 10,
                 "all to be down")
        down = time.time()
        reasons = {b["reason"].partition(" since")[0] for b in self.backends().values()}
        with Peer(lab, "caller", address=self.address("caller")) as caller:
            answers, waits = [], []
            for _ in range(20):
                begun = time.monotonic()
                answers.append(caller.final(caller.options()))
                waits.append(1000 * (time.monotonic() - begun))
        for name in lab.backends:
            self.stop_wire(name, up=True)
        up = time.time()
        wait_for(lambda: all(b["state"] == "up" for b in self.backends().values()), 30,
                 "all to be up")
        well, placed = time.time(), load.created()
        time.sleep(3)
        outcome = load.end()
        stories = self.stories(load).values()
        again = min(story.begun for story in stories if story.begun > up)
        late = {call for call in outcome.lost if int(call.partition("-")[0]) > placed + RATE}
        self.say(f"all down after {down - gone:.1f} s ({'; '.join(reasons)}); 503, Retry-After "
                 f"{answers[0].get('retry-after')} after {max(waits):.1f} ms at most; calls again "
                 f"{again - up:.1f} s after they were there, all up after {well - up:.1f} s; "
                 f"{outcome.failed} of {outcome.placed} calls failed, of "
                 f"{outcome.placed - placed - RATE} begun then {len(late)}")
        self.assertEqual({answer and answer.status for answer in answers}, {503})
        self.assertTrue(all(answer.get("retry-after") for answer in answers))
        self.assertLess(max(waits), 400)                  # before the first retransmission
        self.assertTrue(all(reasons), reasons)
        self.assertEqual(late, set(), outcome.errors)
        self.assertEqual(outcome.failed, len(outcome.lost), outcome.errors)
        wait_for(lambda: not any(b["calls"] for b in self.backends().values()), 5,
                 "no call to be counted any more")


if __name__ == "__main__":
    main()
