# SPDX-License-Identifier: Apache-2.0
"""
What does a message cost on its whole path, the kernel's work included, and how long does it take?
Tandem on veth, by AF_XDP and by AF_PACKET, beside Kamailio's dispatcher as a stateless proxy on the
same wires with the same messages. A burst generator (perf/burst) has the first CPU; what is
measured, and the kernel's work for it, the last.
"""
import itertools
from statistics import median

import machine
import veth_sides
from rows import at_least, at_most

TARGETS = {"af_xdp": at_least(25), "af_packet": at_least(15)}
LATENCY_TARGET = at_most(1 / 3)
TURN_SECONDS = 1.0
PACED_WINDOW = 4096        # at half load nothing waits for a window
LOST_MAX = 0.05            # of a round
HUGE_MIB = 320             # Tandem's `memory`, and what EAL adds


def sound(side, told):
    """A round in which messages were changed, doubled or sent elsewhere measures nothing."""
    wrong = {word: told[word] for word in ("doubled", "misrouted", "corrupted", "foreign")
             if told[word]}
    machine.need(not wrong and told["received"] > 100 and told["lost"] <= LOST_MAX * told["sent"],
                 f"{side.label}: of {told['sent']:.0f} messages {told['lost']:.0f} lost, {wrong}; "
                 f"it dropped {side.dropped or 'none that it knows of'}")
    return told


def take_turns(bench, sides, rate=0):
    """{side: [what the generator told, with its `cpu` seconds, by round]}; without a rate it sends
    as much as the side takes."""
    told = {side: [] for side in sides}
    for number in range(bench.rounds):
        for side in sides if number % 2 == 0 else reversed(sides):
            window = PACED_WINDOW if rate else side.window
            told[side].append(sound(side, side.turn(TURN_SECONDS, window, rate)))
    return told


def describe(bench, side, rounds):
    each = {word: median(told[word] for told in rounds) for word in rounds[0]}
    lost, sent = (sum(told[word] for told in rounds) for word in ("lost", "sent"))
    polled = f", {each['polled']:.0%} in turns without work" if "polled" in each else ""
    bench.say(f"{side.label}: {each['received'] / each['seconds']:,.0f} messages/s (CPU "
              f"{each['cpu'] / each['seconds']:.0%}{polled}; the generator waited "
              f"{each['waited']:.0%}), {lost:.0f} of {sent:.0f} lost")


def compare_cost(bench, ours, peer):
    """Both saturated; {side: messages a second}."""
    sides = [ours, peer]
    for side in sides:
        side.steer(True)
    told = take_turns(bench, sides)
    for side in sides:
        side.steer(False)
        describe(bench, side, told[side])
    values, others = ([one["received"] / one["cpu"] for one in told[side]] for side in sides)
    bench.rows(f"{ours.driver}, saturated", values, "messages/CPU-second", against=peer.label,
               others=others, target=TARGETS[ours.driver])
    return {side: median(one["received"] / one["seconds"] for one in rounds)
            for side, rounds in told.items()}


def compare_latency(bench, ours, rate, peer=None):
    """At a rate in messages a second; without a peer, Tandem alone."""
    told = take_turns(bench, [ours, peer] if peer else [ours], rate)
    for word, name in (("p50_us", "median"), ("p99_us", "p99")):
        against = {"against": peer.label, "others": [one[word] for one in told[peer]],
                   "target": LATENCY_TARGET} if peer else {}
        bench.rows(f"{ours.driver}, {name} at {rate:,.0f} messages/s",
                   [one[word] for one in told[ours]], "µs", **against)
    for side, rounds in told.items():
        describe(bench, side, rounds)


def measure(bench, ours, peer):
    rates = compare_cost(bench, ours, peer)
    compare_latency(bench, ours, rates[peer] / 2, peer)
    compare_latency(bench, ours, rates[ours] / 2)


def run(bench):
    for driver in TARGETS:
        with machine.hugepages(HUGE_MIB), veth_sides.Kamailio(bench) as peer, \
                veth_sides.Tandem(bench, driver) as ours:
            measure(bench, ours, peer)
