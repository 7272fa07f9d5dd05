# SPDX-License-Identifier: Apache-2.0
"""
Workers without traffic: how much of a CPU they take with `idle: adaptive` and with `poll`, what
their counters say of it, and that calls that come now and then lose nothing by it.
"""
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True

from harness import SystemTest, main                              # noqa: E402
from sip import Peer                                              # noqa: E402

WINDOW_S = 2.5


def worker_times(pid):
    """How many workers there are, and the seconds that they ran and that they waited for a CPU."""
    threads = [thread for thread in Path(f"/proc/{pid}/task").iterdir()
               if "worker" in (thread / "comm").read_text(encoding="ascii")]
    times = [[int(number) / 1e9 for number in (thread / "schedstat").read_text().split()[:2]]
             for thread in threads]
    return [len(threads), sum(ran for ran, _ in times), sum(waited for _, waited in times)]


class Idle(SystemTest):
    hertz = {}

    def restart_with(self, idle):
        lab = self.lab
        lab.dataplane.stop()
        lab.config["dataplane"]["idle"] = idle
        lab.write_config()
        lab.dataplane.start()
        lab.wait_acknowledged()

    def watch(self, name):
        """Some seconds without traffic: what share of them workers ran, and wanted to run."""
        lab = self.lab
        before, times, begun = lab.stats()["counters"], worker_times(lab.dataplane.pid), time.time()
        time.sleep(WINDOW_S)
        after, more, ended = lab.stats()["counters"], worker_times(lab.dataplane.pid), time.time()
        n, ran, waited = more[0], more[1] - times[1], more[2] - times[2]
        self.assertEqual(n, len(lab.workers))
        elapsed = (ended - begun) * n
        cycles = after["cycles"] - before["cycles"]
        busy = (after["busy_cycles"] - before["busy_cycles"]) / cycles
        self.say(f"{name}: a worker runs {100 * ran / elapsed:.1f}% of the time, wants to "
                 f"{100 * (ran + waited) / elapsed:.1f}%; busy {100 * busy:.2f}% of "
                 f"{cycles / elapsed / 1e9:.2f} GHz")
        self.assertLess(busy, 0.1)
        self.hertz[name] = cycles / elapsed
        return ran / elapsed, (ran + waited) / elapsed

    def test_1_adaptive(self):
        """The default: a fraction of a CPU."""
        ran, _ = self.watch("adaptive")
        self.assertLess(ran, 0.6)      # a third, where a virtual machine's timers are dear

    def test_2_now_and_then(self):
        """Each message comes to workers that sleep; calls among them."""
        run = self.place([("uac", "uas")], calls=40, rate=10, users=4, hold_ms=300, tag="idle")
        took = []
        with Peer(self.lab, "caller") as phone:
            for _ in range(30):
                time.sleep(0.05)
                begun = time.monotonic()
                self.assertEqual(phone.final(phone.options()).status, 200)
                took.append(time.monotonic() - begun)
        self.assertEqual(len(run.finish().seen()), 40)
        took.sort()
        self.say(f"OPTIONS answered in {1000 * took[len(took) // 2]:.2f} ms (median), "
                 f"{1000 * took[-1]:.2f} ms (slowest)")

    def test_3_poll(self):
        """All of a CPU that it can get. Time is counted alike."""
        self.restart_with("poll")
        _, wanted = self.watch("poll")
        self.assertGreater(wanted, 0.9)
        if "adaptive" in self.hertz:
            self.assertAlmostEqual(self.hertz["adaptive"] / self.hertz["poll"], 1, delta=0.1)


if __name__ == "__main__":
    main()
