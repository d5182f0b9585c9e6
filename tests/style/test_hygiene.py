"""What may be in the repository at all, and how its files begin."""

import ast
import os
import pathlib
import re
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
TOP_LEVEL = {"meson.build", "agent", "initramfs", "certs", "scripts", "tests", "subprojects", "README.md",
             "LICENSE"}
FILE_LINES_WARNED = 400

# Two halves, so that this file does not hold what it looks for.
PRIVATE_KEY = re.compile("-----BEGIN ([A-Z0-9]+ )*PRIVATE " + "KEY-----")
MIRROR_HOST = re.compile(r"\b((deb|ftp|security|archive|snapshot|cdn-aws)[.\w-]*\.(debian|ubuntu)\.(org|com))\b")
HOST_PATH = re.compile(r"(?<![\w./-])/(home/\w+|work/\w+|Users/\w+)/")


def tracked():
    """Files under version control, plus those that a next commit would add."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=TOP, check=True, capture_output=True).stdout.split(b"\0")
    paths = sorted({TOP / os.fsdecode(name) for name in names if name})
    return [path for path in paths if path.is_file() and not path.is_symlink()]


def text_of(path):
    """The text of a file, None if it is binary."""
    data = path.read_bytes()
    try:
        return None if b"\0" in data else data.decode("utf-8")
    except UnicodeDecodeError:
        return None


def is_corpus(path):
    return "corpus" in path.relative_to(TOP).parts


def fail_with(problems):
    assert not problems, "\n" + "\n".join(problems)


def matches(pattern):
    found = []
    for path in tracked():
        for number, line in enumerate((text_of(path) or "").splitlines(), 1):
            if pattern.search(line):
                found.append(f"{path.relative_to(TOP)}:{number}: {line.strip()[:100]}")
    return found


def test_no_private_key():
    """A key that is published protects nobody, and somebody would deploy it."""
    fail_with(matches(PRIVATE_KEY))


def test_no_binary():
    """Nobody can review a binary. Fuzz corpora are exempt."""
    fail_with([str(path.relative_to(TOP)) for path in tracked() if not is_corpus(path) and text_of(path) is None])


def test_no_mirror_host():
    """The scripts would reach past the mirror that a site has configured."""
    fail_with(matches(MIRROR_HOST))


def test_no_path_of_this_machine():
    """The scripts would work for one person only."""
    fail_with(matches(HOST_PATH))


def test_top_level():
    """Who looks for something would have to search: the top level is fixed."""
    names = {path.relative_to(TOP).parts[0] for path in tracked()}
    fail_with(sorted(name for name in names if name not in TOP_LEVEL and not name.startswith(".")))


def test_headers_open_with_a_sentence():
    """A reader could not tell what a file is for without reading it."""
    problems = []
    for path in tracked():
        parts = path.relative_to(TOP).parts
        if path.suffix != ".h" or parts[0] not in ("agent", "tests"):
            continue
        first = text_of(path).lstrip("\ufeff").splitlines()[:1]
        if not first or not re.match(r"// [A-Z`]", first[0]):
            problems.append(f"{path.relative_to(TOP)}: opens with no comment that says what it is")
    fail_with(problems)


def test_text_ends_and_lines_are_clean():
    """Diffs would be full of noise."""
    problems = []
    for path in tracked():
        text = text_of(path)
        if not text or is_corpus(path):
            continue
        if not text.endswith("\n"):
            problems.append(f"{path.relative_to(TOP)}: no newline at the end")
        if path.suffix == ".md":
            continue
        for number, line in enumerate(text.split("\n"), 1):
            if line != line.rstrip():
                problems.append(f"{path.relative_to(TOP)}:{number}: white space at the end of the line")
    fail_with(problems)


def test_python_compiles():
    """A script that is only used when something fails would fail then."""
    problems = []
    for path in tracked():
        text = text_of(path) or ""
        if path.suffix == ".py" or text.startswith(("#!/usr/bin/env python3", "#!/usr/bin/python3")):
            try:
                ast.parse(text, str(path))
            except SyntaxError as error:
                problems.append(f"{path.relative_to(TOP)}:{error.lineno}: {error.msg}")
    fail_with(problems)


def test_long_files_are_named():
    """Nothing breaks: names the files that have outgrown one noun, without failing."""
    for path in tracked():
        if path.suffix in (".h", ".cc", ".py", ".sh"):
            lines = len((text_of(path) or "").splitlines())
            if lines > FILE_LINES_WARNED:
                print(f"warning: {path.relative_to(TOP)} has {lines} lines")
