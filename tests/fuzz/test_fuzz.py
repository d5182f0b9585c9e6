"""A short round of every fuzz target over its first inputs and what they lead to; scripts/fuzz is for long ones."""

import os
import pathlib
import subprocess
import tempfile

TOP = pathlib.Path(__file__).resolve().parents[2]
PROGRAMS = TOP / "build/out-fuzz/tests/fuzz"
CORPUS = TOP / "tests/fuzz/corpus"
SECONDS = 3
TAKES_S = 90
LIMIT_S = 120


def fuzz(target):
    seeds = CORPUS / target
    assert any(seeds.iterdir()), f"{target} has no first inputs"
    with tempfile.TemporaryDirectory() as found:
        done = subprocess.run(
            [PROGRAMS / target, f"-max_total_time={SECONDS}", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1",
             f"-artifact_prefix={TOP}/build/test/fuzz/{target}.", found, seeds],
            text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
            timeout=LIMIT_S, check=False, env=os.environ | {"UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1"})
        print(done.stdout)
        assert done.returncode == 0, f"{target} ended with {done.returncode}"
        assert "stat::number_of_executed_units: 0\n" not in done.stdout


def test_every_target_is_built():
    """A parser whose target nobody builds is not fuzzed by anybody."""
    targets = {path.stem for path in (TOP / "tests/fuzz").glob("fuzz_*.cc")}
    built = {target for target in targets if (PROGRAMS / target).exists()}
    assert built == targets, f"not built: {sorted(targets - built)}"


def _a_test_of(target):
    def test():
        fuzz(target)
    test.__doc__ = "A stranger's bytes would end the program, or be misread by it."
    return test


for _file in sorted((TOP / "tests/fuzz").glob("fuzz_*.cc")):
    globals()[_file.stem.replace("fuzz_", "test_", 1)] = _a_test_of(_file.stem)
