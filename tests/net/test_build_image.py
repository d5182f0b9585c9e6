"""The image builder: what is in an image, what is refused, and that a build can be repeated."""

import functools
import os
import pathlib
import re
import stat
import struct
import subprocess
import tempfile

from lib.org import TOP, Org, certs
from run import Skip

TIME_LIMIT_S = 300
BUILDER = TOP / "initramfs/build-image"
AGENT = TOP / "build/out/agent/preboot/fortros-preboot"
EPOCH = 1790000000  # 2026-09-21T14:13:20Z
INVITE = "ABCDEFGHIJKLMNOP.abcdefgh"


@functools.cache
def scratch():
    return pathlib.Path(tempfile.mkdtemp(prefix="images."))


@functools.cache
def org():
    return Org.make(scratch() / "org")


def file(name, content, mode=0o644):
    path = pathlib.Path(tempfile.mkdtemp(dir=scratch())) / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    path.chmod(mode)
    return path


@functools.cache
def stub():
    """An agent that accepts every setting."""
    return file("fortros-preboot", "#!/bin/sh\nexit 0\n", 0o755)


@functools.cache
def settings():
    return file("node.conf", "[Organisation]\nGatewayName=gateway.example.org")


@functools.cache
def invite():
    return file("invite", INVITE + "\n", 0o600)


def build(output=None, **changes):
    """Runs the builder; returns (status, what it said). A change to None leaves an option out."""
    options = {"settings": settings(), "ca": org().ca, "invite": invite(), "agent": stub(),
               "output": output or scratch() / "unwanted", "level": 1, **changes}
    flags = ["--initrd-only"] if options.pop("initrd_only", True) else []
    words = [word for name, value in options.items() if value is not None
             for word in ("--" + name.replace("_", "-"), str(value))]
    done = subprocess.run([BUILDER, *words, *flags], text=True, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd="/",
                          env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)})
    return done.returncode, done.stdout


def built(**changes):
    output = pathlib.Path(tempfile.mkdtemp(dir=scratch())) / "image"
    status, said = build(output, **changes)
    assert status == 0, said
    return output, said


def refused(words, **changes):
    output = pathlib.Path(tempfile.mkdtemp(dir=scratch())) / "image"
    status, said = build(output, **changes)
    assert status != 0 and words in said, f"status {status}, said: {said}"
    assert "Traceback" not in said, said
    assert not list(output.parent.iterdir()), "something was written"


def unpack(initrd):
    """{path: (mode, time, data)} of a compressed newc archive."""
    data = subprocess.run(["zstd", "-dcq", initrd], check=True, capture_output=True).stdout
    files, at = {}, 0
    while True:
        assert data[at:at + 6] == b"070701", f"no entry at {at}"
        fields = [int(data[at + 6 + 8 * i:at + 14 + 8 * i], 16) for i in range(13)]
        _, mode, uid, gid, _, time, size, *_, name_size, _ = fields
        name = data[at + 110:at + 109 + name_size].decode()
        at = at + (110 + name_size + 3) // 4 * 4
        if name == "TRAILER!!!":
            return files
        assert uid == gid == 0 and name not in files
        assert os.path.dirname(name) in files or not os.path.dirname(name), f"{name} comes before its folder"
        files["/" + name] = (mode, time, data[at:at + size])
        files[name] = files["/" + name]
        at = (at + size + 3) // 4 * 4


@functools.cache
def image():
    output, said = built()
    return unpack(output), output, said


def test_the_image_holds_the_node_and_nothing_of_the_builder():
    """The agent finds no settings, CA or invite at boot, or everybody may read the invite."""
    files, output, _ = image()
    assert files["/etc/fortros/org-ca.pem"][2] == org().ca.read_bytes()
    assert files["/etc/fortros/invite"][2] == invite().read_bytes()
    assert files["/usr/bin/fortros-preboot"][2] == stub().read_bytes()
    for path, mode in (("/init", 0o100755), ("/usr/bin/fortros-preboot", 0o100755), ("/etc/fortros/invite", 0o100600),
                       ("/etc/fortros/org-ca.pem", 0o100644), ("/etc/fortros/preboot.conf", 0o100644),
                       ("/bin/sh", 0o120777), ("/sbin", 0o120777), ("/sysroot", 0o040755)):
        assert files[path][0] == mode, f"{path}: {files[path][0]:o}"
    assert {time for _, time, _ in files.values()} == {EPOCH}
    assert stat.S_IMODE(output.stat().st_mode) == 0o600, "others may read the invite in the image"
    assert not [path for path in files if "__pycache__" in path]


def test_the_image_knows_when_it_was_built():
    """A node whose clock battery is empty takes an expired certificate for a good one."""
    files, _, _ = image()
    text = files["/etc/fortros/preboot.conf"][2].decode()
    assert text.startswith(settings().read_text()), "lines have moved: errors would name the wrong ones"
    assert text.endswith("\n[Clock]\nBuildTime=2026-09-21T14:13:20Z\n"), text
    own = file("own.conf", "[Organisation]\nGatewayName=gateway.example.org\n[Clock]\nBuildTime=2026-01-01T00:00:00Z\n")
    output, _ = built(settings=own)
    assert unpack(output)["/etc/fortros/preboot.conf"][2] == own.read_bytes()


def test_files_go_where_the_settings_look_for_them():
    """Whoever changes CA= builds an image that can't find its CA."""
    own = file("own.conf", "[Organisation]\nGatewayName=gateway.example.org\nCA=/ca/org.pem\nInvite=/secret/invite\n")
    output, _ = built(settings=own)
    files = unpack(output)
    assert files["/ca/org.pem"][2] == org().ca.read_bytes()
    assert files["/secret/invite"][0] == 0o100600
    assert "/etc/fortros/invite" not in files


def test_modules_come_with_what_they_need():
    """WireGuard does not load at boot, and no node comes up."""
    files, _, said = image()
    names = {re.sub(r"^.*/|\.ko$", "", path).replace("-", "_"): path for path in files if path.endswith(".ko")}
    assert {"wireguard", "nf_tables", "efivarfs", "virtio_net", "virtio_blk", "udp_tunnel"} <= set(names), names
    for path in names.values():
        assert files[path][2].startswith(b"\x7fELF"), f"{path} is compressed"
    folder = re.match(r"/?(lib/modules/[^/]+)", names["wireguard"])[1]
    for line in files[folder + "/modules.dep"][2].decode().splitlines():
        for path in line.replace(":", "").split():
            assert f"{folder}/{path}" in files, f"{path} is not in the image"
    assert b" wireguard\n" in files[folder + "/modules.alias"][2]
    assert files["/etc/modules"][2] == b"efivarfs\nwireguard\nnf_tables\n"
    assert "not in kernel" in said
    output, _ = built(module="sch_netem", driver="mlx4_en")
    files = unpack(output)
    assert files["/etc/modules"][2].endswith(b"\nsch_netem\n")
    assert any(path.endswith("/mlx4_en.ko") for path in files) and any(path.endswith("/mlx4_core.ko") for path in files)


def test_a_build_can_be_repeated():
    """Nobody can check that a signed image was made from the sources that it names."""
    _, output, _ = image()
    again, _ = built()
    assert again.read_bytes() == output.read_bytes()


def test_a_uki_can_be_repeated_and_carries_its_parts():
    """Nobody can check a signed image, or it boots with another command line than was asked for."""
    changes = {"initrd_only": False, "root_device": "LABEL=fortros-root", "cmdline": "rw console=ttyS0"}
    report = scratch() / "sizes.json"
    first, said = built(report=report, **changes)
    second, _ = built(**changes)
    data = first.read_bytes()
    assert data == second.read_bytes()
    assert sections(data)[".cmdline"].rstrip(b"\0") == b"root=LABEL=fortros-root rw console=ttyS0"
    assert sections(data)[".initrd"][:4] == b"\x28\xb5\x2f\xfd"
    assert b"FortrOS" in sections(data)[".osrel"]
    assert {".linux", ".uname"} <= set(sections(data))
    assert re.search(r"^agent +1 ", said, re.M) and '"kernel"' in report.read_text()


def sections(pe):
    start, = struct.unpack_from("<I", pe, 0x3C)
    count, optional = struct.unpack_from("<xxH12xH", pe, start + 4)
    table = start + 24 + optional
    found = {}
    for at in range(table, table + 40 * count, 40):
        name, size, _, raw_size, raw = struct.unpack_from("<8sIIII", pe, at)
        found[name.rstrip(b"\0").decode()] = pe[raw:raw + min(size, raw_size)]
    return found


def test_without_an_invite_the_image_is_no_secret():
    """A fleet of enrolled nodes could not be given an image without an invite."""
    output, said = built(invite=None)
    assert "only nodes that are enrolled already" in said, said
    assert "/etc/fortros/invite" not in unpack(output)
    assert stat.S_IMODE(output.stat().st_mode) == 0o644


def test_a_bad_ca_is_refused():
    """The CA's private key would be in every node, or no node could ever authenticate its gateway."""
    gateway = org().gateway(scratch() / "gateway")
    ca = org().ca.read_text()
    refused("holds a private key", ca=file("ca.pem", ca + org().ca_key.read_text()))
    refused("holds a private key", ca=org().ca_key)
    refused("holds 0 certificates", ca=file("ca.pem", "nothing"))
    refused("is no CA's", ca=gateway.certificate)
    refused("is no CA's", ca=file("ca.pem", ca + gateway.certificate.read_text()))
    refused("can't be read", ca=file("ca.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"))
    refused("holds 5 certificates", ca=file("ca.pem", ca * 5))
    refused("No such file", ca="/nowhere/ca.pem")
    second = Org.make(scratch() / "second")
    output, _ = built(ca=file("ca.pem", ca + second.ca.read_text()))
    assert unpack(output)["/etc/fortros/org-ca.pem"][2].count(b"BEGIN CERTIFICATE") == 2


def test_bad_input_is_refused_before_anything_is_written():
    """The mistake shows at boot, on a machine without a keyboard."""
    refused("No such file", settings="/nowhere/preboot.conf")
    refused("is not UTF-8", settings=file("bad.conf", b"\xff\xfe"))
    refused("absolute paths", settings=file("bad.conf", "[Organisation]\nCA=org-ca.pem\n"))
    refused("No such file", invite="/nowhere/invite")
    refused("is empty", invite=file("invite", "\n"))
    refused("No such file", agent="/nowhere/agent")
    refused("is no 64-bit program", agent=file("agent", "text", 0o755))
    refused("dynamically linked", agent="/bin/true")
    refused("has no modules.dep", modules="/nowhere")
    refused("has no module nosuch", module="nosuch")
    refused("would not know its root", initrd_only=False)
    refused("is missing", busybox="/nowhere/busybox")
    refused("--ca is missing", ca=None)
    other = pathlib.Path(tempfile.mkdtemp(dir=scratch())) / "6.1.0-other"
    other.mkdir()
    for name in ("modules.dep", "modules.builtin", "modules.alias"):
        (other / name).write_text("")
    refused("are the modules of 6.1.0-other", modules=other, initrd_only=False, root_device="LABEL=x")
    status, said = build(scratch() / "no/such/folder/image")
    assert status == 1 and "No such file" in said, said


def test_the_agent_judges_its_settings():
    """A misspelt key is found on the console of a node that did not come up."""
    picky = file("fortros-preboot", '#!/bin/sh\necho "$2:7: [Discovery] Sorces=: unknown key"\nexit 3\n', 0o755)
    refused(f"{settings()}:7: [Discovery] Sorces=: unknown key", agent=picky)
    ignorant = file("fortros-preboot", "#!/bin/sh\nexit 2\n", 0o755)
    _, said = built(agent=ignorant)
    assert "does not know check-config" in said


def test_the_example_settings_are_good():
    """The first file that a new user copies does not work."""
    if not AGENT.exists():
        raise Skip("the agent is not built")
    text = (TOP / "initramfs/default.conf").read_text()
    output, said = built(settings=TOP / "initramfs/default.conf", agent=AGENT)
    assert "not checked" not in said
    refused("unknown key", settings=file("bad.conf", text + "Sorces=cached\n"), agent=AGENT)
    # Every key that the agent knows is in the example, and no other.
    known = set(re.findall(r'^    \{"(\w+)", "(\w+)",', (TOP / "agent/core/settings.cc").read_text(), re.M))
    section, shown = "", set()
    for line in text.splitlines():
        if found := re.fullmatch(r"\[(\w+)\]", line):
            section = found[1]
        elif found := re.match(r"#?([A-Z]\w*)=", line):
            shown.add((section, found[1]))
    assert shown == known, (shown - known, known - shown)
    # As they stand there the values are the defaults, and values at all.
    plain = re.sub(r"^#(?=[A-Z]\w*=.)(?!Address=|Gateway=|DNS=)", "", text, flags=re.M)
    built(settings=file("all.conf", plain), agent=AGENT)
