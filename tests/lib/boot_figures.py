"""What scripts/bench boot has measured, as the README shows it: a table, a chart, and how the aims were met.

Pure but for adopt(): the figures come from the result alone, which is kept in tests/bench/boot/measured.json.
"""

import html
import json
import pathlib
import statistics

TOP = pathlib.Path(__file__).resolve().parents[2]
MEASURED = TOP / "tests/bench/boot/measured.json"
CHART = MEASURED.with_suffix(".svg")
README = TOP / "README.md"
BEGIN, END = "<!-- scripts/bench boot --adopt -->", "<!-- end -->"

TITLES = {"agent": "agent, first boot", "agent-later": "agent, later boots", "script": "script",
          "script-lean": "script without dig", "nebula": "nebula"}
STAGES = ("settings", "clock", "links", "discover", "authenticate", "enrol", "wireguard", "remember", "hand off")
KIB, MIB = 1024, 1024 * 1024


class Figures:
    """One quantity of every way: its values, one a run."""

    def __init__(self, title, values, show):
        self.title = title
        self.values = values
        self.show = show

    def median(self, way):
        return statistics.median(self.values[way])

    def cell(self, way):
        if way not in self.values:
            return ""
        values = self.values[way]
        if min(values) == max(values):
            return self.show(values[0])
        return f"{self.show(statistics.median(values))} ({self.show(min(values))} to {self.show(max(values))})"

    def ratio(self, way, other):
        return self.median(way) / self.median(other)


def told(result, setting, key, unit):
    return {way: [run[key] / unit for run in runs] for way, runs in result["times"][setting].items()}


def both(result, key, unit):
    """Of all runs, near and far."""
    near, far = (told(result, setting, key, unit) for setting in ("lan", "far"))
    return {way: near[way] + far[way] for way in near}


def weight(result, key):
    weights = dict(result["weights"])
    return {way: [found[key]] for way, found in weights.items()} | {"agent-later": [weights["agent"][key]]}


def sum_of(one, other):
    return {way: [value + other[way][0] for value in values] for way, values in one.items()}


def milliseconds(value):
    return f"{value:,.0f} ms"


def mebibytes(value):
    return f"{value:.2f} MiB"


def whole(value):
    return f"{value:,.0f}"


def figures(result):
    """By name, in the table's order."""
    return {
        "lan": Figures("start to first packet, LAN", told(result, "lan", "first_packet_us", 1000), milliseconds),
        "far": Figures(f"start to first packet, {result['round_trip_ms']} ms round trip",
                       told(result, "far", "first_packet_us", 1000), milliseconds),
        "cpu": Figures("processor time, emulated", both(result, "cpu_us", 1000), milliseconds),
        "bytes": Figures("bytes in the initramfs, compressed", weight(result, "compressed"), whole),
        "modules": Figures("kernel modules that it needs, compressed", weight(result, "modules_compressed"), whole),
        "added": Figures("bytes with those modules, compressed", sum_of(weight(result, "compressed"), weight(result, "modules_compressed")), whole),
        "memory": Figures("peak memory of all processes", both(result, "memory_peak", MIB), mebibytes),
        "resident": Figures("largest resident set of one", both(result, "largest_rss_kib", KIB), mebibytes),
        "processes": Figures("processes started", both(result, "processes", 1), whole),
        "threads": Figures("threads besides", both(result, "threads", 1), whole),
        "calls": Figures("system calls", both(result, "calls", 1), whole),
    }


def table(result):
    """In Markdown: medians, and in brackets the least and the most."""
    found = figures(result)
    lines = ["| | " + " | ".join(TITLES.values()) + " |", "|---" * (len(TITLES) + 1) + "|"]
    lines += [f"| {figure.title} | " + " | ".join(map(figure.cell, TITLES)) + " |" for figure in found.values()]
    return "\n".join(lines) + "\n"


# What is held against what, and at most how large a part of it it should be.
AIMS = [
    ("lan", "agent", "script", 0.35), ("lan", "agent-later", "script", 0.35),
    ("far", "agent", "script", 0.5), ("far", "agent-later", "script", 0.5),
    ("bytes", "agent", "script-lean", 0.12), ("added", "agent", "script-lean", 0.12),
    ("memory", "agent", "script", 0.25), ("memory", "agent", "script-lean", 0.25),
    ("resident", "agent", "script-lean", 0.25),
]


def verdict(result):
    """The aims, each with what was measured; what misses it says so."""
    found = figures(result)
    lines = ["| | measured | aim |", "|---|---|---|"]
    for name, way, other, aim in AIMS:
        ratio = found[name].ratio(way, other)
        lines.append(f"| {found[name].title}: {TITLES[way]} / {TITLES[other]} | {up(ratio)} | ≤ {aim}"
                     + (" **missed**" if ratio > aim else "") + " |")
    most = max(found["processes"].values["agent"] + found["processes"].values["agent-later"])
    lines.append(f"| processes of the agent | {most:.0f} | 1" + (" **missed**" if most > 1 else "") + " |")
    return "\n".join(lines) + "\n"


def stages(result):
    """Where the agent's time goes on a LAN, by its own account: medians."""
    lines = ["| of the agent's time, LAN | " + " | ".join(STAGES) + " |", "|---" * (len(STAGES) + 1) + "|"]
    for way in ("agent", "agent-later"):
        told = [run["stages_ms"] for run in result["times"]["lan"][way]]
        medians = [milliseconds(statistics.median(stage[name] for stage in told)) for name in STAGES]
        lines.append(f"| {TITLES[way].removeprefix('agent, ')} | " + " | ".join(medians) + " |")
    return "\n".join(lines) + "\n"


def up(ratio):
    """Never rounded in our favour."""
    return f"{-(-ratio * 1000 // 1) / 1000:.3f}"


# --- the chart ---

WIDTH, LEFT, BAR, GAP, PANEL_GAP = 760, 190, 16, 6, 34
COLOURS = {"agent": "#1b6e53", "agent-later": "#58a88a", "script": "#b4552d", "script-lean": "#d99b7c", "nebula": "#5b6ea8"}
PANELS = ("lan", "far", "bytes", "memory")


def chart(result):
    """As SVG: a panel for each of the quantities that are judged; the line across a bar is from least to most."""
    found = figures(result)
    parts, y = [], 24
    for name in PANELS:
        part, y = panel(found[name], y)
        parts += part
        y += PANEL_GAP
    height = y - PANEL_GAP + 30
    title = f"medians of {result['runs']} runs, in an emulated machine; fewer is better"
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>', *parts,
        f'<text x="10" y="{height - 10}" fill="#666">{html.escape(title)}</text>', "</svg>"]) + "\n"


def panel(figure, y):
    most = max(max(values) for values in figure.values.values())
    scale = (WIDTH - LEFT - 110) / most
    parts = [f'<text x="10" y="{y}" font-weight="bold">{html.escape(figure.title)}</text>']
    y += 10
    for way in (way for way in TITLES if way in figure.values):
        low, high = min(figure.values[way]) * scale, max(figure.values[way]) * scale
        median, middle = figure.median(way) * scale, y + BAR / 2
        parts += [f'<text x="{LEFT - 8}" y="{y + BAR - 4}" text-anchor="end">{html.escape(TITLES[way])}</text>',
                  f'<rect x="{LEFT}" y="{y}" width="{median:.1f}" height="{BAR}" fill="{COLOURS[way]}"/>',
                  f'<path d="M{LEFT + low:.1f} {middle}H{LEFT + high:.1f}" stroke="#222"/>',
                  f'<text x="{LEFT + max(high, median) + 6:.1f}" y="{y + BAR - 4}">{figure.show(figure.median(way))}</text>']
        y += BAR + GAP
    return parts, y


# --- what is kept ---

def readme_part(result):
    return f"{BEGIN}\n{table(result)}\n{verdict(result)}\n{stages(result)}{END}"


def adopt(result):
    MEASURED.write_text(json.dumps(result, indent=1) + "\n", encoding="ascii")
    CHART.write_text(chart(result), encoding="utf-8")
    text = README.read_text(encoding="utf-8")
    begin, end = text.index(BEGIN), text.index(END) + len(END)
    README.write_text(text[:begin] + readme_part(result) + text[end:], encoding="utf-8")
