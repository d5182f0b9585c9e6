"""What a node says when its image is wrong: each a boot of the reference image with one file replaced.

Without firmware and without a network: nothing of this gets so far that it would need them.
"""

import functools
import pathlib
import tempfile

from lib import image
from lib.node import Node
from lib.org import Org

TIME_LIMIT_S = 240
TAKES_S = 80
SETTINGS = "/etc/fortros/preboot.conf"
GOOD = "[Organisation]\nGatewayName=gateway.fleet.example\n"
# A machine without firmware variables must keep its key somewhere, or hears of nothing but that.
IN_FILES = "[Node]\nKeyStore=file:/run/keys/node.key\nStateStore=file:/run/keys/node.state\n"
WELL_FORMED_INVITE = "fortros-invite-v1-" + "A" * 32 + "\n"


@functools.cache
def ground():
    """A node, and an image that would be good."""
    folder = pathlib.Path(tempfile.mkdtemp(prefix="input-"))
    settings = folder / "preboot.conf"
    settings.write_text(GOOD)
    org = Org.make(folder / "org", "gateway.fleet.example")
    uki = image.build(folder / "node.efi", settings=settings, ca=org.ca, invite=WELL_FORMED_INVITE)
    return Node(folder / "node"), uki, org


def refusal(name, files, command_line=""):
    """The verdict of a boot with these files in the image."""
    node, uki, _ = ground()
    with node.boot_without_firmware(name, uki, files, command_line) as boot:
        verdict = boot.wait_for_verdict()
        boot.machine.expect(rf"fortros-init: agent failed with status {verdict.status}\b", 30)
        return verdict


def expect(verdict, status, name, *words):
    assert (verdict.status, verdict.name) == (status, name), f"the verdict is {verdict}"
    missing = [word for word in words if word not in verdict.why]
    assert not missing, f"it says nothing of {missing}: {verdict.why}"


def test_malformed_setting_is_named_with_file_and_line():
    """Who wrote the file would search all of it."""
    verdict = refusal("malformed", {SETTINGS: GOOD + "[Failure]\nTotalTimeout=soon\n"})
    expect(verdict, 3, "settings-invalid", f"{SETTINGS}:4", "TotalTimeout", "soon")


def test_unknown_setting_is_named_with_file_and_line():
    """A misspelt key would silently leave its default in force."""
    verdict = refusal("unknown", {SETTINGS: "# comment\n" + GOOD + "Gatway=203.0.113.5\n"})
    expect(verdict, 3, "settings-invalid", f"{SETTINGS}:4", "Gatway")


def test_kernel_command_line_may_not_widen_trust():
    """Who can edit a boot entry could send the node to a gateway of his own."""
    verdict = refusal("widen", {}, "fortros.gateway_name=gateway.attacker.example")
    expect(verdict, 3, "settings-invalid", "fortros.gateway_name")


def test_missing_ca_is_named():
    """A node without a pinned CA must trust nobody, and say so."""
    verdict = refusal("no-ca", {SETTINGS: GOOD + "CA=/etc/fortros/absent.pem\n"})
    expect(verdict, 4, "trust-anchor-invalid", "/etc/fortros/absent.pem")


def test_ca_that_is_no_certificate_is_named():
    """A truncated copy would be found out only by a failing handshake."""
    verdict = refusal("bad-ca", {"/etc/fortros/org-ca.pem": "-----BEGIN CERTIFICATE-----\nMIIB\n"})
    expect(verdict, 4, "trust-anchor-invalid", "/etc/fortros/org-ca.pem")


def test_missing_invite_is_named():
    """A new machine would wait for a network that can't help it."""
    verdict = refusal("no-invite", {SETTINGS: GOOD + "Invite=/etc/fortros/absent\n" + IN_FILES})
    expect(verdict, 5, "invite-missing", "/etc/fortros/absent")


def test_unreadable_invite_is_named():
    """It would look like an invite that the gateway does not know."""
    verdict = refusal("folder-invite", {SETTINGS: GOOD + "Invite=/etc/fortros/invites\n" + IN_FILES,
                                        "/etc/fortros/invites": None})
    expect(verdict, 5, "invite-missing", "/etc/fortros/invites")


def test_malformed_invite_is_named_and_not_shown():
    """The console would show what may be most of a good invite."""
    verdict = refusal("bad-invite", {SETTINGS: GOOD + IN_FILES, "/etc/fortros/invite": WELL_FORMED_INVITE * 2})
    expect(verdict, 5, "invite-missing", "/etc/fortros/invite")
    assert "AAAAAAAA" not in verdict.why


def test_image_builder_refuses_what_the_node_would():
    """The mistake would be found when the machine is in its rack."""
    node, _, org = ground()
    settings = node.folder / "bad.conf"
    settings.write_text(GOOD + "Colour=blue\n")
    try:
        image.build(node.folder / "bad.efi", settings=settings, ca=org.ca)
    except image.ImageError as error:
        assert f"{settings}:3" in str(error) and "Colour" in str(error), error
    else:
        raise AssertionError("it built an image")
    assert not (node.folder / "bad.efi").exists()
