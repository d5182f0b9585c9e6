"""What the environment of the agent may not do. The kernel hands every word of its command line that it
does not know to init, as environment; and init hands it on."""

import os
import pathlib
import subprocess
import tempfile

AGENT = pathlib.Path(__file__).resolve().parents[2] / "build/out/agent/preboot/fortros-preboot"


def test_libefivar_is_not_misled():
    """`LIBEFIVAR_OPS=help` on a kernel command line would end the agent before main(), with status 0: joined."""
    with tempfile.TemporaryDirectory() as folder:
        for environment in ({"LIBEFIVAR_OPS": "help"}, {"LIBEFIVAR_OPS": "default"}, {"EFIVARFS_PATH": folder + "/"}):
            done = subprocess.run([str(AGENT), "--version"], env={**os.environ, **environment}, text=True,
                                  capture_output=True, check=False, stdin=subprocess.DEVNULL)
            assert done.returncode == 0 and "fortros" in done.stdout, (environment, done)
            assert "LIBEFIVAR" not in done.stdout, done.stdout
