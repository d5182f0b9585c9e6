"""The man pages and the shell completion have what the programs have, no more and no less."""
import pathlib
import re
import subprocess

TREE = pathlib.Path(__file__).resolve().parents[2]
PAGES = ("agent/preboot/fortros-preboot.8", "agent/preboot/preboot.conf.5", "agent/gateway/fortros-gateway.8",
         "agent/maintainer/fortros-maintainer.8")


def read(path):
    return (TREE / path).read_text(encoding="utf-8")


def keys_of(source):
    return set(re.findall(r'\{"([A-Z][A-Za-z]*)",\s*"([A-Za-z]+)",', read(source)))


def keys_in(page):
    """(section, key) of each setting that a page describes."""
    found, section = set(), None
    for line in read(page).splitlines():
        if heading := re.match(r"\.Ss \[(\w+)\]", line):
            section = heading[1]
        elif line.startswith(".Sh"):
            section = None
        elif section and line.startswith(".It Cm"):
            found |= {(section, key) for key in re.findall(r"(\w+)=", line)}
    return found


def options_in(text):
    """Every --option that a page or a help names."""
    return set(re.findall(r"(?:\bFl Fl |--)([a-z][a-z-]+)", text)) - {"initramfs"}


def statuses_in(page):
    text = read(page)
    return re.findall(r"^\.It (\d+)(?: ([a-z-]+))?$", text[text.index(".Sh EXIT STATUS"):], re.M)


def gateway_commands():
    """Name → its options, from the table that the program itself reads."""
    source = read("agent/gateway/main.cc")
    lists = {name: re.findall(r'\{"--([a-z-]+)"', body)
             for name, body in re.findall(r"OptionSpec (\w+)\[\] = \{(.*?)\};", source, re.S)}
    table = re.search(r"CommandSpec commands\[\] = \{\n(.*?)\n\};", source, re.S)[1]
    commands = {}
    for entry in re.split(r"^    (?=\{\")", table, flags=re.M)[1:]:
        name = re.match(r'\{"([a-z][a-z -]*)"', entry)[1]
        used = re.search(r"(\w+|\{\})\},?\s*$", entry)[1]
        commands[name] = set(lists.get(used, ()))
    assert len(commands) >= 20, commands
    return commands


def completions(program, *words):
    """What bash offers for the last word."""
    script = f"agent/{program.removeprefix('fortros-')}/{program}.bash"
    function = "_" + program.replace("-", "_")
    code = ('. "$1"; shift; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); ' + function
            + '; [ ${#COMPREPLY[@]} = 0 ] || printf "%s\\n" "${COMPREPLY[@]}"')
    done = subprocess.run(["bash", "-euc", code, "bash", TREE / script, program, *words], cwd=TREE / "certs",
                          check=True, capture_output=True, text=True)
    assert not done.stderr, done.stderr
    return set(done.stdout.split())


def test_the_pages_are_sound():
    """`man` shows a mess."""
    done = subprocess.run(["mandoc", "-T", "lint", "-W", "warning", *PAGES], cwd=TREE, check=False, capture_output=True,
                          text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_pages_have_every_setting():
    """Who looks a key up on a machine without a browser finds nothing, or one that is an error."""
    for page, source in (("agent/preboot/preboot.conf.5", "agent/core/settings.cc"),
                         ("agent/gateway/fortros-gateway.8", "agent/gateway/settings.cc")):
        known = {(section, key) for section, key in keys_of(source) if key != "Manage"}
        if "gateway" in page:  # the organisation's file has a section in the same table
            known = {(section, key) for section, key in known if section != "Organisation"}
        assert keys_in(page) == known, keys_in(page) ^ known


def test_the_pages_have_every_option_and_command():
    """Somebody would write a script for what there is an option for."""
    for program, source in (("preboot", "agent/preboot/options.cc"), ("maintainer", "agent/maintainer/main.cc")):
        text = read(source)
        known = set(re.findall(r'== "--([a-z-]+)"', text))
        page = read(f"agent/{program}/fortros-{program}.8")
        assert options_in(page) == known, options_in(page) ^ known
    verbs = re.findall(r'\{"([a-z-]+)", Verb::', read("agent/preboot/options.cc"))
    assert len(verbs) == 5, verbs
    for verb in verbs:
        assert f"\n.It Cm {verb}\n" in read("agent/preboot/fortros-preboot.8"), verb
    page = read("agent/gateway/fortros-gateway.8")
    commands = gateway_commands()
    shown = set(re.findall(r"^\.It Ic ([a-z -]+?)(?: Ar .*)?$", page, re.M))
    assert shown == set(commands), shown ^ set(commands)
    for name, options in commands.items():
        part = page[page.index(f".It Ic {name}"):]
        part = part[:part.find(".It Ic", 6)]
        for option in options:
            assert f".It Fl Fl {option}" in part, f"{name} --{option}"


def test_the_pages_have_every_exit_status():
    """An operator looks the number up, and finds nothing."""
    numbers = dict(re.findall(r"^    (\w+) = (\d+),", read("agent/core/exit_status.h"), re.M))
    names = dict(re.findall(r'case ExitStatus::(\w+): return "([a-z-]+)"', read("agent/core/exit_status.cc")))
    known = [(number, names[word]) for word, number in numbers.items()]
    assert statuses_in("agent/preboot/fortros-preboot.8") == known
    codes = re.findall(r"^    \w+ = (\d+),", read("agent/gateway/exit_code.h"), re.M)
    assert [number for number, _ in statuses_in("agent/gateway/fortros-gateway.8")] == codes
    codes = re.findall(r"^    \w+ = (\d+),?$", read("agent/maintainer/main.cc"), re.M)
    assert [number for number, _ in statuses_in("agent/maintainer/fortros-maintainer.8")] == codes


def test_completion_offers_every_command():
    """The shell suggests what is an error, or does not know what there is."""
    verbs = set(re.findall(r'\{"([a-z-]+)", Verb::', read("agent/preboot/options.cc")))
    assert completions("fortros-preboot", "") == verbs
    commands = gateway_commands()
    firsts = {name.split()[0] for name in commands}
    assert completions("fortros-gateway", "") == firsts | {"--help", "--version"}
    for first in firsts:
        seconds = {name.split()[1] for name in commands if name.startswith(first + " ")}
        if seconds:
            assert completions("fortros-gateway", first, "") == seconds
    verbs = set(re.findall(r'word == "([a-z][a-z-]+)"', read("agent/maintainer/main.cc")))
    assert {word for word in completions("fortros-maintainer", "") if not word.startswith("-")} == verbs


def test_completion_offers_every_option():
    """The same, for options, each with the command that has it."""
    known = set(re.findall(r'== "(--[a-z-]+)"', read("agent/preboot/options.cc")))
    offered = {verb: completions("fortros-preboot", verb, "--") for verb in ("run", "probe", "report")}
    assert offered["run"] | offered["probe"] | offered["report"] == known
    assert "--svg" not in offered["run"] and "--svg" in offered["report"] and "--json" in offered["probe"]
    for name, options in gateway_commands().items():
        expected = {f"--{option}" for option in options} | {"--config", "--help"}
        assert completions("fortros-gateway", *name.split(), "--") == expected, name


def test_completion_offers_what_fits():
    """A status, a file or a role has to be typed in full."""
    names = set(re.findall(r'case ExitStatus::\w+: return "([a-z-]+)"', read("agent/core/exit_status.cc")))
    assert completions("fortros-preboot", "explain", "") == names
    assert completions("fortros-preboot", "explain", "no-g") == {"no-gateway"}
    assert "lib.sh" in completions("fortros-preboot", "check-config", "")
    assert "lib.sh" in completions("fortros-preboot", "report", "--events", "l")
    assert completions("fortros-gateway", "invite", "create", "--role", "") == {"node", "lighthouse"}
    assert "lib.sh" in completions("fortros-gateway", "restore", "l")
