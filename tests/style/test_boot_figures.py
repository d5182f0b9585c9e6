"""The README's figures of a boot are what scripts/bench boot has written, and nobody's wish."""
import json

from lib import boot_figures

RUNS = 10


def measured():
    return json.loads(boot_figures.MEASURED.read_text(encoding="ascii"))


def test_the_readme_has_what_was_measured():
    """Somebody chooses by a table that no measurement has made."""
    result = measured()
    assert boot_figures.readme_part(result) in boot_figures.README.read_text(encoding="utf-8"), \
        "the README's table is another: scripts/bench boot --adopt"
    assert boot_figures.CHART.read_text(encoding="utf-8") == boot_figures.chart(result)


def test_each_way_was_measured_often_enough():
    """A figure is one run's luck."""
    for setting, ways in measured()["times"].items():
        assert ways.keys() == boot_figures.TITLES.keys(), setting
        for way, runs in ways.items():
            assert len(runs) >= RUNS, (setting, way)


def test_a_ratio_is_never_rounded_in_our_favour():
    """0.3501 would be told as an aim of 0.35 that was met."""
    assert boot_figures.up(0.3501) == "0.351"
    assert boot_figures.up(0.25) == "0.250"
