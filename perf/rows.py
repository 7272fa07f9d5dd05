# SPDX-License-Identifier: Apache-2.0
"""What was measured: series of rounds, rows of value against value, the table and the JSON."""
from dataclasses import dataclass
from statistics import median, quantiles


def spread(samples):
    """Half the distance between the quartiles, as a share of the median."""
    if len(samples) < 2 or median(samples) == 0:
        return 0.0
    low, _, high = quantiles(samples, n=4, method="inclusive")
    return abs((high - low) / 2 / median(samples))


@dataclass
class Target:
    """`>=` N: at least N times as good; `<=` N: at most N times, or so many of the unit."""
    sign: str
    number: float

    def __str__(self):
        return f"{'≥' if self.sign == '>=' else '≤'} {self.number:g}"

    def met(self, number):
        return number >= self.number if self.sign == ">=" else number <= self.number


def at_least(number):
    return Target(">=", number)


def at_most(number):
    return Target("<=", number)


@dataclass
class Row:
    """
    One line. `values` and `others` are of the same rounds: the ratio is the median of the rounds'
    ratios, which noise that lasts longer than a round leaves alone. `better`: what `ratio` says:
    "times less" (other / value) or "times" (value / other). With `judged` "value" the target is for
    the value itself.
    """
    bench: str
    case: str
    values: list
    unit: str
    against: str | None = None
    others: list | None = None
    target: Target | None = None
    better: str = "times"
    judged: str = "ratio"

    @property
    def value(self):
        return median(self.values)

    @property
    def other(self):
        return median(self.others) if self.others else None

    @property
    def ratio(self):
        if not self.others:
            return None
        if len(self.values) != len(self.others):
            pairs = [(self.value, self.other)]
        else:
            pairs = list(zip(self.values, self.others))
        if self.better == "times less":
            return median(other / value for value, other in pairs)
        return median(value / other for value, other in pairs)

    @property
    def met(self):
        if self.target is None:
            return None
        return self.target.met(self.value if self.judged == "value" else self.ratio)

    def plain(self):
        """As DESIGN section 5 has it, and the spreads."""
        return {"bench": self.bench, "case": self.case, "value": significant(self.value),
                "unit": self.unit, "against": self.against,
                "against_value": significant(self.other), "ratio": significant(self.ratio),
                "target": str(self.target) if self.target else None, "met": self.met,
                "spread": significant(spread(self.values)),
                "against_spread": significant(spread(self.others)) if self.others else None}


def significant(number, digits=4):
    return None if number is None else float(f"{number:.{digits}g}")


def human(number):
    if number is None:
        return ""
    if number == 0 or abs(number) >= 1000:
        return f"{number:,.0f}"
    return f"{number:.3g}"


def with_spread(samples):
    if not samples:
        return ""
    text = human(median(samples))
    return f"{text} ±{100 * spread(samples):.0f}%" if len(samples) > 1 else text


class Rows:
    """All rows of a run; of(name) adds those of one benchmark."""

    def __init__(self):
        self.rows = []

    def of(self, bench):
        def add(case, values, unit, **more):
            values = values if isinstance(values, list) else [values]
            self.rows.append(Row(bench, case, values, unit, **more))
            return self.rows[-1]
        return add

    def plain(self):
        return [row.plain() for row in self.rows]

    def table(self):
        head = ["bench", "case", "value", "unit", "against", "its value", "ratio", "target", ""]
        lines = [head]
        for row in self.rows:
            met = {None: "", True: "met", False: "not met"}[row.met]
            lines.append([row.bench, row.case, with_spread(row.values), row.unit,
                          row.against or "", with_spread(row.others), human(row.ratio),
                          str(row.target) if row.target else "", met])
        widths = [max(len(line[column]) for line in lines) for column in range(len(head))]
        right = {2, 5, 6}
        return "\n".join("  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(line, widths))).rstrip()
            for line in lines)
