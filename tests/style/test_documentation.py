"""What the README tells is what the programs have."""
import pathlib
import re

TREE = pathlib.Path(__file__).resolve().parents[2]
README = (TREE / "README.md").read_text()


def keys_of(source, table):
    """The `Key=` names that a table of INI keys in C++ knows."""
    text = (TREE / source).read_text()
    keys = re.findall(r'\{"[A-Z][A-Za-z]*",\s*"([A-Za-z]+)",', text)
    assert len(keys) >= 5, f"{table}: found only {keys}"
    return keys


def expect_none_missing(keys):
    missing = [key for key in keys if f"`{key}=`" not in README]
    assert not missing, f"not in the README: {missing}"


def test_the_readme_has_every_setting_of_the_agent():
    """A setting that nobody can find might as well not be there."""
    expect_none_missing(keys_of("agent/core/settings.cc", "agent"))


def test_the_readme_has_every_setting_of_the_gateway():
    """The same, for who runs a gateway."""
    keys = [key for key in keys_of("agent/gateway/settings.cc", "gateway") if key != "Manage"]
    expect_none_missing(keys)


def test_a_new_gateways_settings_have_every_setting():
    """The same, for who begins with `fortros-gateway init`."""
    template = (TREE / "agent/gateway/settings_template.cc").read_text()
    elsewhere = {"Manage", "Prefix", "Domain", "GatewayName"}  # for tests, and the org's file
    for key in keys_of("agent/gateway/settings.cc", "gateway"):
        assert key in elsewhere or re.search(rf"^#?{key}=", template, re.M), f"{key}= is not in what init writes"


def test_the_readme_has_every_command_of_the_gateway():
    """Somebody would write a script for what there is a command for."""
    source = (TREE / "agent/gateway/main.cc").read_text()
    table = re.search(r"CommandSpec commands\[\] = \{\n(.*?)\n\};", source, re.S)[1]
    names = re.findall(r'^    \{"([a-z][a-z -]*)"', table, re.M)
    assert len(names) >= 20, names
    missing = [name for name in names if name not in README]
    assert not missing, f"not in the README: {missing}"


def test_the_example_has_every_setting_of_the_agent():
    """Whoever starts from the example would believe that there is no more."""
    example = (TREE / "initramfs/default.conf").read_text()
    for key in keys_of("agent/core/settings.cc", "agent"):
        assert re.search(rf"^#?{key}=", example, re.M), f"{key}= is not in initramfs/default.conf"


def test_the_readme_has_every_exit_status():
    """An operator looks the number up, and finds nothing."""
    header = (TREE / "agent/core/exit_status.h").read_text()
    source = (TREE / "agent/core/exit_status.cc").read_text()
    numbers = dict(re.findall(r"^    (\w+) = (\d+),", header, re.M))
    names = dict(re.findall(r'case ExitStatus::(\w+): return "([a-z-]+)"', source))
    assert len(numbers) >= 18 and numbers.keys() == names.keys()
    for word, number in numbers.items():
        assert f"| {number} | {names[word]} |" in README, f"{number} {names[word]}"
