# SPDX-License-Identifier: Apache-2.0
"""
Changes while calls go on: backends come and go by reload, control is killed and comes back, broken
files are refused. No call may notice.
"""
import copy
import re
import sys
import time

sys.dont_write_bytecode = True

from harness import SystemTest, main, wait_for                    # noqa: E402
from sip import Peer                                              # noqa: E402

BOTH_HANG_UP = [("uac", "uas"), ("uac_wait_bye", "uas_bye")]
IN_FULL = ("INVITE", "200", "ACK", "BYE")


class Changes(SystemTest):

    def test_1_reload_in_mid_run(self):
        """kam4 added, kam2 removed while dialogs of 2 s live: none moves, none fails."""
        lab = self.lab
        lab.register("callee", ["warm"], port=6000)
        lab.add_backend("kam4")
        wait_for(lambda: lab.backends["kam4"].registered() >= 1, 15, "kam4 to learn the locations")
        calls = self.place(BOTH_HANG_UP, calls=4000, rate=50, hold_ms=2000, tag="reload")
        calls.wait_created(100)
        lab.pool().append(lab.backend_entry("kam4"))
        lab.reload()
        added = time.time()
        calls.wait_created(calls.created() + 100)
        removal = time.time()
        lab.pool()[:] = [entry for entry in lab.pool() if entry["name"] != "kam2"]
        lab.reload()
        removed = time.time()
        calls.wait_created(calls.created() + 100)
        by_call = calls.end().seen()
        self.assertEqual(len(by_call), calls.created())
        self.assert_one_backend(by_call, IN_FULL)
        begun = {call: (name, messages[0].time) for call, found in by_call.items()
                 for name, messages in found.items()}
        late = [call for call, (name, at) in begun.items() if name == "kam2" and at > removed + 0.5]
        self.assertEqual(late, [], "new calls at a backend that was removed")
        over = sum(1 for call, (name, at) in begun.items() if name == "kam2" and at < removal
                   and by_call[call][name][-1].time > removed)
        new = {name: sum(1 for n, at in begun.values() if n == name and at > added)
               for name in lab.backends}
        self.assertGreater(new["kam4"], 0, "the added backend got no calls")
        self.assertGreater(over, 0, "no dialog of the removed backend lived over the reload")
        self.say(f"calls: {self.shares(by_call)}; after the first reload {new}; {over} dialogs "
                 "outlived their backend's removal")

    def test_2_control_dies(self):
        """kill -9 of control and its restart in mid-run, then broken files: no call notices."""
        lab = self.lab
        before = lab.generation()
        backends = self.states()
        calls = self.place(BOTH_HANG_UP, calls=4000, rate=50, hold_ms=500, port=6300, tag="kill")
        calls.wait_created(60)
        lab.control.kill9()
        at = calls.created()
        calls.wait_created(at + 75)
        lab.control.start()
        lab.wait_acknowledged()
        after = lab.generation()
        self.say(f"control was gone from call {at} to call {calls.created()}; generations "
                 f"{before['generation']} → {after['generation']}")
        self.assertGreaterEqual(after["generation"], before["generation"])
        self.assertEqual(self.states(), backends, "a backend's state did not survive the restart")
        self.broken_files()
        by_call = calls.end().seen()
        self.assertEqual(len(by_call), calls.created())
        self.assert_one_backend(by_call, IN_FULL)

    def states(self):
        return {backend["name"]: (backend["state"], backend["lingering"])
                for backend in self.lab.ctl("show", "backends", json=True)}

    def refused(self, text, key, reason, token=None):
        """A reload of this text is refused: status 1, file, line (of `token`), key and reason."""
        lab = self.lab
        before = lab.generation()
        status, out, err = lab.reload(text, check=False)
        self.assertEqual(status, 1, f"{out}{err}")
        # A change that needs a restart is a difference of two good files: it has no line.
        line = r":(\d+)" if token else r"(?::(\d+))?"
        match = re.search(rf"{re.escape(str(lab.config_path))}{line}: (\S+): (.+)", err)
        self.assertIsNotNone(match, f"no FILE:LINE: KEY: REASON in {err!r} {out!r}")
        self.say(f"refused: {match[0].rpartition('/')[2]}")
        self.assertIn(key, match[2])
        self.assertRegex(match[3], reason)
        if token:
            lines = [number for number, line in enumerate(text.splitlines(), 1) if token in line]
            self.assertIn(int(match[1]), lines, f"{token!r} is in line {lines}")
        self.assertEqual(lab.generation(), before, "a refused file changed the generation")

    def broken_files(self):
        lab = self.lab
        good = lab.config_path.read_text()
        self.refused(good.replace("weight:", "wieght:", 1), "wieght", ".", "wieght:")
        self.refused(good.replace("weight: 100", "weight: 100000", 1), "weight", ".",
                     "weight: 100000")
        self.refused(good.replace("weight: 100", "weight: heavy", 1), "weight", ".",
                     "weight: heavy")
        self.refused(good.replace("pool: proxies", "pool: nobody"), "pool", ".", "pool: nobody")
        self.refused(good.replace("call_table: 100000", "call_table: 200000"), "call_table",
                     "needs a restart of tandem-dataplane")
        broken = lab.dir / "broken.yaml"
        broken.write_text(good.replace("node: lab", "node: [lab"))
        self.assertEqual(lab.control.check(broken).returncode, 1)
        status, out, err = lab.reload(broken.read_text(), check=False)
        self.assertEqual(status, 1, f"{out}{err}")
        self.assertIn(str(lab.config_path), err)
        lab.write_config(good)
        self.assertEqual(lab.control.check(lab.config_path).returncode, 0)
        self.assertEqual(lab.ctl("reload")[0], 0)

    def test_3_sighup(self):
        """SIGHUP reloads too: a weight of 0 takes a backend out of new calls, and back."""
        lab = self.lab
        kept = copy.deepcopy(lab.config)
        first = lab.pool()[0]
        before = lab.generation()["generation"]
        first["weight"] = 0
        lab.write_config()
        lab.control.hangup()
        wait_for(lambda: lab.generation()["generation"] > before, 10, "SIGHUP to be heard")
        lab.wait_acknowledged()
        with Peer(lab, "caller") as phone:
            answers = [phone.final(phone.options()) for _ in range(12)]
        servers = {answer.get("server") for answer in answers if answer}
        self.assertEqual(len([a for a in answers if a]), 12)
        self.assertNotIn(first["name"], servers)
        lab.config = kept
        lab.reload()
        self.say(f"with weight 0 of {first['name']}: {sorted(servers)}")


if __name__ == "__main__":
    main()
