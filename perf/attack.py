# SPDX-License-Identifier: Apache-2.0
"""
What do messages cost that were made to cost much? Each byte of their frames beside a byte of good
ones, in the same rounds. And can Call-IDs be chosen that the table of calls keeps less of?
"""
from statistics import median

import machine
import tandem
from lab.base import run as execute
from rows import at_least, at_most

FAIR_SHARES = at_most(20)
AS_RANDOM = at_least(0.99)     # 131,072 Call-IDs in a table of twice as many: a tenth of it is luck


class Attack:
    """One kind of message: what one of them costs, by round."""

    def __init__(self, group, name, size):
        self.group, self.name, self.size = group, name, float(size)
        self.times, self.reason = [], ""

    def by_byte(self):
        return [time / self.size for time in self.times]

    def shares(self, good):
        return median(own / other for own, other in zip(self.by_byte(), good.by_byte()))


def measure(bench, config):
    """({word: Attack} of good and flooded, [Attack], {choice: share of its calls that were kept})."""
    done = execute("taskset", "-c", machine.measured_cpu(), bench.build / "perf/perf-attack", config,
                   config.with_name("secret"), bench.rounds, timeout=600)
    good, found, kept = {}, {}, {}
    for line in done.stdout.splitlines():
        word, *rest = line.split("\t")
        if word == "kept":
            kept.setdefault(rest[0], []).append(float(rest[1]))
            continue
        group, name, size, time, reason = rest
        attack = Attack(group, name, size)
        attack = (found.setdefault((group, name), attack) if word == "message"
                  else good.setdefault(word, attack))
        attack.times.append(float(time))
        attack.reason = reason
    machine.need(all(len(attack.times) == bench.rounds
                     for attack in [*good.values(), *found.values()]), "perf-attack left rounds out")
    return good, list(found.values()), kept


def report_worst(bench, good, attacks):
    """A row for the worst attack of each group."""
    for group in dict.fromkeys(attack.group for attack in attacks):
        of_group = [attack for attack in attacks if attack.group == group]
        worst = max(of_group, key=lambda attack: attack.shares(good))
        bench.rows(f"{group}, the worst of {len(of_group)}: {worst.name} ({worst.reason}, "
                   f"{median(worst.times) / 1000:,.3g} µs)", worst.by_byte(), "ns/byte",
                   against="good messages", others=good.by_byte(), target=FAIR_SHARES)


def report_calls(bench, kept):
    others = kept.pop("random")
    worst = min(kept, key=lambda choice: median(kept[choice]))
    bench.rows(f"chosen Call-IDs that the table keeps, the worst of {len(kept)}: {worst}",
               [100 * share for share in kept[worst]], "%", against="random ones",
               others=[100 * share for share in others], target=AS_RANDOM)


def run(bench):
    config = tandem.write_config(bench.dir)
    both, attacks, kept = measure(bench, config)
    good = both["good"]
    bench.say(f"good messages: {good.size:.0f} bytes, {median(good.times):.0f} ns; "
              f"{len(attacks)} attacks")
    report_worst(bench, good, attacks)
    report_calls(bench, kept)
    bench.rows("good messages, the table full of attackers' calls", both["flooded"].times,
               "ns/message", against="before", others=good.times)
