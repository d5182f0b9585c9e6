"""Includes go one way: base <- core <- mesh <- the programs; os is named only by the programs."""

import pathlib
import re

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)

LAYERS = {
    "base": {"base"},
    "core": {"base", "core"},
    "mesh": {"base", "core", "mesh"},
    "os": {"base", "core", "os"},
    "preboot": {"base", "core", "mesh", "os", "preboot"},
    "gateway": {"base", "core", "mesh", "os", "gateway"},
    "maintainer": {"base", "core", "mesh", "os", "maintainer"},
    "meshsim": {"base", "core", "mesh", "meshsim"},
}

# Headers of the operating system that the pure layers may not see.
PURE = {"base", "core", "mesh"}
IMPURE_HEADER = re.compile(r"^\s*#\s*include\s+<((sys|net|netinet|linux|arpa)/[^>]*|unistd\.h|fcntl\.h)>", re.M)
# What a pure layer may use all the same, because it is arithmetic (arpa/inet.h: inet_pton, inet_ntop)
# or the kernel's dice.
PURE_EXCEPTIONS = {"arpa/inet.h", "sys/random.h", "sys/types.h"}


def sources(folder):
    return sorted(path for end in ("*.h", "*.cc") for path in (TOP / "agent" / folder).rglob(end))


def fail_with(problems):
    assert not problems, "\n" + "\n".join(problems)


def test_include_directions():
    """A boot could no longer be run in a test in virtual time: a pure layer would pull in the system."""
    problems = []
    for folder, allowed in LAYERS.items():
        for path in sources(folder):
            for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
                target = included.split("/")[0]
                if target not in allowed:
                    problems.append(f'{path.relative_to(TOP)}: {folder} may not include "{included}"')
    fail_with(problems)


def test_every_folder_has_a_layer():
    """A new folder would escape the include rule."""
    folders = {path.parent.relative_to(TOP / "agent").parts[0]
               for end in ("*.h", "*.cc") for path in (TOP / "agent").rglob(end)
               if path.parent != TOP / "agent"}
    fail_with([f"agent/{folder} has no entry in LAYERS of {__file__}" for folder in sorted(folders - set(LAYERS))])


def test_includes_are_written_from_agent():
    """A header could be found by accident of a build's include path, and another by another's."""
    problems = []
    for folder in LAYERS:
        for path in sources(folder):
            for included in INCLUDE.findall(path.read_text(encoding="utf-8")):
                if not (TOP / "agent" / included).is_file():
                    problems.append(f'{path.relative_to(TOP)}: "{included}" is no file below agent/')
    fail_with(problems)


def test_pure_layers_make_no_system_calls():
    """A test of the core would depend on the machine that it runs on."""
    problems = []
    for folder in sorted(PURE):
        for path in sources(folder):
            for header, _ in IMPURE_HEADER.findall(path.read_text(encoding="utf-8")):
                if header not in PURE_EXCEPTIONS:
                    problems.append(f"{path.relative_to(TOP)}: {folder} is pure and may not include <{header}>")
    fail_with(problems)
