"""What `meson install` puts where. That a build can be repeated is shown by scripts/reproduce."""

import pathlib
import re
import subprocess
import tempfile

from lib.once import once

TOP = pathlib.Path(__file__).resolve().parents[2]
OF_THE_DISTRIBUTION = {"/usr/bin/serf"}
NODE = {
    "/usr/bin/fortros-preboot": 0o755,
    "/usr/bin/fortros-maintainer": 0o755,
    "/usr/lib/NetworkManager/conf.d/fortros.conf": 0o644,
    "/usr/lib/NetworkManager/system-connections/fortros-uplink.nmconnection.example": 0o644,
    "/usr/lib/dracut/modules.d/90fortros/fortros-preboot.service": 0o644,
    "/usr/lib/dracut/modules.d/90fortros/fortros-preboot.sh": 0o755,
    "/usr/lib/dracut/modules.d/90fortros/module-setup.sh": 0o755,
    "/usr/lib/systemd/network/10-fortros.network": 0o644,
    "/usr/lib/systemd/network/80-fortros-uplink.network.example": 0o644,
    "/usr/lib/systemd/networkd.conf.d/fortros.conf": 0o644,
    "/usr/lib/systemd/system/fortros-maintainer.service": 0o644,
    "/usr/lib/systemd/system/fortros-serf.service": 0o644,
    "/usr/lib/systemd/system/fortros-variables.service": 0o644,
    "/usr/share/bash-completion/completions/fortros-preboot": 0o644,
    "/usr/share/bash-completion/completions/fortros-maintainer": 0o644,
    "/usr/share/initramfs-tools/conf-hooks.d/fortros": 0o644,
    "/usr/share/initramfs-tools/hooks/fortros": 0o755,
    "/usr/share/initramfs-tools/scripts/init-premount/fortros": 0o755,
    "/usr/share/man/man5/preboot.conf.5": 0o644,
    "/usr/share/man/man8/fortros-preboot.8": 0o644,
    "/usr/share/man/man8/fortros-maintainer.8": 0o644,
    "/usr/share/fortros/protocol/bootstrap.schema.json": 0o644,
    "/usr/share/fortros/protocol/enrolment.yaml": 0o644,
    "/usr/share/fortros/protocol/events.schema.json": 0o644,
}
GATEWAY = {
    "/usr/bin/fortros-gateway": 0o755,
    "/usr/lib/systemd/system/fortros-gateway.service": 0o644,
    "/usr/lib/systemd/system/fortros-gateway.socket": 0o644,
    "/usr/lib/systemd/system/fortros-gateway-operate.socket": 0o644,
    "/usr/share/bash-completion/completions/fortros-gateway": 0o644,
    "/usr/share/man/man8/fortros-gateway.8": 0o644,
    **{f"/usr/share/fortros/certs/{name}": 0o755
       for name in ("gateway-keys", "issue-gateway", "issue-signer", "make-org", "renew-gateway", "show")},
    "/usr/share/fortros/certs/lib.sh": 0o644,
    "/usr/share/fortros/certs/README.md": 0o644,
}
IMAGES = {
    "/usr/share/fortros/initramfs/build-image": 0o755,
    "/usr/share/fortros/initramfs/init": 0o755,
    **{f"/usr/share/fortros/initramfs/{name}": 0o644
       for name in ("README.md", "default.conf", "modules.conf", "lib/archive.py", "lib/modules.py")},
}


def run(*command, cwd=TOP):
    done = subprocess.run([str(word) for word in command], cwd=cwd, check=False, stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace")
    assert done.returncode == 0, f"{' '.join(map(str, command))}: status {done.returncode}\n{done.stdout[-3000:]}"
    return done.stdout


def install(tags, build=TOP / "build/out"):
    folder = pathlib.Path(tempfile.mkdtemp(prefix="install-"))
    run("meson", "install", "-C", build, "--no-rebuild", "--strip", "--tags", tags, "--destdir", folder)
    return folder


def files_in(folder):
    return {f"/{path.relative_to(folder)}": path for path in folder.rglob("*") if not path.is_dir()}


@once
def node():
    return files_in(install("node"))


def test_each_part_is_where_distributions_expect_it():
    """A packager has to move things about, or a part is missing where it is looked for."""
    for tag, expected in (("node", NODE), ("gateway", GATEWAY), ("images", IMAGES)):
        found = node() if tag == "node" else files_in(install(tag))
        assert found.keys() == expected.keys(), (tag, found.keys() ^ expected.keys())
        for path, mode in expected.items():
            assert found[path].stat().st_mode & 0o7777 == mode, path


def test_what_is_installed_names_what_is_installed():
    """A unit starts a program that is somewhere else."""
    for path, file in node().items():
        if path.endswith(".service"):
            for program in re.findall(r"^ExecStart=(/\S+)", file.read_text(), re.M):
                assert program in node() or program in OF_THE_DISTRIBUTION, f"{path}: {program}"


def test_the_installed_builder_works_from_its_place():
    """build-image looks for its parts in the source tree."""
    folder = install("images")
    said = run(folder / "usr/share/fortros/initramfs/build-image", "--help", cwd="/")
    assert "--settings" in said
