# SPDX-License-Identifier: Apache-2.0
"""
A rolling upgrade under load: every backend is drained, restarted and enabled, one after another.
No call may fail, and no answered request may be sent again because of it. The same can be
done to Kamailio's dispatcher in Tandem's place: same hosts, same calls, by an operator who is as
careful.

    TANDEM_ROUNDS   how often all backends are upgraded (1), after a baseline that grows with it
    TANDEM_LONG     1: Kamailio's dispatcher, too, and calls of 5 s
    TANDEM_SIX      1: over IPv6, without the dispatcher
"""
import os
import sys
import time
import unittest

sys.dont_write_bytecode = True

from harness import DRIVER, LabError, SystemTest, main, wait_for  # noqa: E402
from lab.dispatcher import Dispatcher                             # noqa: E402
from load import FULL_S, HOLD_MS, LAB, LONG, RATE, SIX, Load, Story, probed_from, repeats   # noqa: E402

ROUNDS = int(os.environ.get("TANDEM_ROUNDS", "1"))
BASELINE_S = 10 * ROUNDS
FIGURES = {}                       # who: {what: figure}, for the table


class Upgrade(SystemTest):
    """What both do; out() and back() are the operator's."""

    options, six = LAB, SIX
    who = None

    def upgrade(self):
        load = Load(self, "upgrade")
        time.sleep(FULL_S)
        begun, again = time.time(), load.again()
        time.sleep(BASELINE_S)
        upgrading, baseline = time.time(), load.again() - again
        gone = [self.restart(name) for _ in range(ROUNDS) for name in self.lab.backends]
        done = time.time()
        outcome = load.end()
        by_call = load.seen()
        stories = {call: Story(found) for call, found in by_call.items()}
        again = repeats(by_call)

        def answered(since, until):
            return sum(1 for at, _, _, was in again if was and since <= at < until)
        late = sum(1 for name, out, _, back in gone for story in stories.values()
                   if story.first == name and out + 0.2 < story.begun < back)
        cut = sum(1 for name, _, stopped, _ in gone for story in stories.values()
                  if name in story.where and story.begun < stopped
                  and not story.at("200", "BYE", stopped))
        FIGURES[self.who] = {
            "calls placed": outcome.placed, "calls failed": outcome.failed,
            "failed at the callee only": outcome.unsettled,
            f"retransmissions in {upgrading - begun:.0f} s before": baseline,
            "retransmissions while upgrading, and after": outcome.again - baseline,
            "answered requests seen again before": answered(begun, upgrading),
            "answered requests seen again since": answered(upgrading, time.time()),
            "new calls at a drained backend": late,
            "calls at a backend when it was stopped": cut,
            "calls that moved": sum(1 for story in stories.values() if len(story.where) > 1),
            "seconds for all backends": round(done - upgrading, 1),
            "the longest drain, in seconds": round(max(s - o for _, o, s, _ in gone), 1)}
        self.say(f"{self.who}: {outcome.placed} calls at {RATE}/s, {outcome.failed} failed; "
                 f"retransmitted: {[(r[1], round(r[2], 2), r[3]) for r in again][:10]}")
        self.assertEqual(outcome.placed, outcome.answered + outcome.failed)
        return outcome, FIGURES[self.who]

    def restart(self, name):
        """(name, when it was taken out, stopped, and to be given calls again)."""
        backend = self.lab.backends[name]
        contacts = backend.registered()
        out = time.time()
        self.out(name)
        stopped = time.time()
        backend.stop()
        backend.start()
        wait_for(lambda: backend.registered() >= contacts, 15, f"{name} to know its users again")
        back = time.time()
        self.back(name)
        return name, out, stopped, back


@unittest.skipUnless(LONG and not SIX, "TANDEM_LONG is not set, or TANDEM_SIX is")
class ByDispatcher(Upgrade):
    """Kamailio's dispatcher. The operator knows how long calls last, and waits for so long."""

    options = {**Upgrade.options, "tandem": False}
    who = "dispatcher"

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.dispatcher = Dispatcher(cls.lab).start()

    def tearDown(self):
        self.assertTrue(self.dispatcher.process.running(), "the dispatcher died")

    def out(self, name):
        self.dispatcher.disable(name)
        time.sleep(HOLD_MS / 1000 + 1.5)

    def back(self, name):
        self.dispatcher.enable(name)
        wait_for(lambda: self.dispatcher.states()[name] == "AP", 10, f"{name} to be active")

    def test_rolling_upgrade(self):
        """For the table: what becomes of its calls is no failure of ours."""
        outcome, _ = self.upgrade()
        if outcome.failed:
            self.say(outcome.errors)


class ByTandem(Upgrade):
    """Tandem. `drain --wait` says when the calls are over."""

    who = "Tandem"

    @classmethod
    def prepare(cls, lab):
        lab.config["pools"][0]["health"] = {"interval": "1s", "slow_start": "2s"}
        lab.config["node_address"] = probed_from(lab)

    def out(self, name):
        status, said, errors = self.lab.ctl("drain", name, "--wait", "--calls-only",
                                         timeout=60)
        if status != 0:
            raise LabError(f"drain {name}: {said}{errors}")
        self.say(said.strip().splitlines()[-1])

    def back(self, name):
        self.lab.ctl("enable", name)

        def in_full():
            found, = (b for b in self.lab.ctl("show", "backends", json=True) if b["name"] == name)
            return found["state"] == "up" and found["slow_start"] == 1
        wait_for(in_full, 15, f"{name} to be up again with all its weight")

    def test_rolling_upgrade(self):
        outcome, figures = self.upgrade()
        self.table()
        self.assertEqual((outcome.failed, outcome.unsettled), (0, 0), outcome.errors)
        self.assertEqual(figures["new calls at a drained backend"], 0)
        self.assertEqual(figures["calls at a backend when it was stopped"], 0)
        self.assertEqual(figures["calls that moved"], 0)
        longer = figures["seconds for all backends"] / BASELINE_S
        self.assertLessEqual(figures["answered requests seen again since"],
                             figures["answered requests seen again before"] * longer)

    def table(self):
        columns = [who for who in ("Tandem", "dispatcher") if who in FIGURES]
        event = f"rolling upgrade, {DRIVER}{', IPv6' if SIX else ''}"
        self.say(f"{event:44}" + "".join(f"{who:>14}" for who in columns))
        for what in FIGURES["Tandem"]:
            cells = [FIGURES[who].get(what, "") for who in columns]
            self.say(f"{what:44}" + "".join(f"{cell:>14}" for cell in cells))


if __name__ == "__main__":
    main()
