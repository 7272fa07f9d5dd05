# SPDX-License-Identifier: Apache-2.0
"""What the quickstart prints at its end: numbers in, lines of text out."""
import math
from collections import Counter


def percentile(values, share):
    """The value that `share` (0 to 1) of the values do not exceed; None of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None


def calls_by_backend(seen, weights):
    """
    seen: backend → set of Call-IDs; weights: backend → weight. Returns (lines, number of calls
    that more than one backend saw).
    """
    total_weight = sum(weights.values())
    homes = Counter(call for calls in seen.values() for call in calls)
    split = sum(1 for backends in homes.values() if backends > 1)
    total = len(homes)
    lines = ["Calls by backend", "  backend      calls    share   expected"]
    for name in sorted(seen):
        share = weights.get(name, 0) / total_weight
        spread = math.sqrt(total * share * (1 - share))
        calls = len(seen[name])
        percent = 100 * calls / total if total else 0
        lines.append(f"  {name:<10} {calls:>7,} {percent:>7.1f}%   {total * share:,.0f} "
                     f"give or take {spread:,.0f}")
    lines.append(f"  calls that more than one backend saw: {split}")
    return lines, split


def verdicts(stats):
    """From `tandemctl show stats --json`: what became of the messages, reasons that occurred only."""
    counters = stats["counters"]
    lines = [f"What became of {counters.get('messages', 0):,} messages"]
    for verdict, prefix in (("forwarded", "forwarded_"), ("replied", "reply_"),
                            ("dropped", "drop_"), ("punted", "punt_")):
        head = f"verdict_{prefix}"
        reasons = [f"{name[len(head):].replace('_', ' ')} {value:,}"
                   for name, value in sorted(counters.items())
                   if name.startswith(head) and value]
        lines.append(f"  {verdict:<10} {counters.get(verdict, 0):>7,}"
                     + (f"   {', '.join(reasons)}" if reasons else ""))
    lost = {name: counters[name] for name in
            ("sip_tx_drop", "sip_no_route", "sip_mtu_drop", "held_dropped") if counters.get(name)}
    lines.append("  not sent   " + (", ".join(f"{name} {value:,}" for name, value in lost.items())
                                    if lost else "      0"))
    return lines


def latency(through, direct):
    """through, direct: the outputs of latency.py, parsed."""
    lines = ["Added latency: round trip of an OPTIONS that a backend answers, through the virtual",
             "address from outside, and straight to the backend from inside at the same time",
             "               median        p99   answered"]
    numbers = {}
    for name, probe in (("through", through), ("direct", direct)):
        numbers[name] = [percentile(probe["us"], share) for share in (0.5, 0.99)]
        if None in numbers[name]:
            lines.append(f"  {name:<10} no answers")
            continue
        median, p99 = numbers[name]
        lines.append(f"  {name:<10} {median:>6,.0f} us  {p99:>6,.0f} us   "
                     f"{probe['answered']} of {probe['sent']}")
    if None not in numbers["through"] + numbers["direct"]:
        median, p99 = (a - b for a, b in zip(numbers["through"], numbers["direct"]))
        lines.append(f"  {'added':<10} {median:>6,.0f} us  {p99:>6,.0f} us")
    return lines
