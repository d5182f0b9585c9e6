#include "core/exit_status.h"

namespace fortros {

std::string_view name_of(ExitStatus status) {
    switch (status) {
        case ExitStatus::Joined: return "joined";
        case ExitStatus::Internal: return "internal";
        case ExitStatus::Usage: return "usage";
        case ExitStatus::SettingsInvalid: return "settings-invalid";
        case ExitStatus::TrustAnchorInvalid: return "trust-anchor-invalid";
        case ExitStatus::InviteMissing: return "invite-missing";
        case ExitStatus::NoLink: return "no-link";
        case ExitStatus::NoGateway: return "no-gateway";
        case ExitStatus::GatewayUntrusted: return "gateway-untrusted";
        case ExitStatus::Refused: return "refused";
        case ExitStatus::Revoked: return "revoked";
        case ExitStatus::ApprovalPending: return "approval-pending";
        case ExitStatus::KeyStoreFailed: return "key-store-failed";
        case ExitStatus::OverlayFailed: return "overlay-failed";
        case ExitStatus::NoHandshake: return "no-handshake";
        case ExitStatus::HandOffFailed: return "hand-off-failed";
        case ExitStatus::PolicyLost: return "policy-lost";
        case ExitStatus::GatewayBusy: return "gateway-busy";
        case ExitStatus::ForbiddenCall: return "forbidden-call";
    }
    return "internal";
}

std::string_view explain(ExitStatus status) {
    switch (status) {
        case ExitStatus::Joined: return "The node is in the overlay.";
        case ExitStatus::Internal:
            return "The agent or the operating system failed in a way that should not happen. "
                   "Please report the last lines of the log.";
        case ExitStatus::Usage:
            return "The command line is not understood. See fortros-preboot --help.";
        case ExitStatus::SettingsInvalid:
            return "The settings file or a fortros.* word on the kernel command line is wrong; the "
                   "line is named above. fortros-preboot check-config FILE tells without a boot.";
        case ExitStatus::TrustAnchorInvalid:
            return "The org CA in this image is missing, unreadable or not a CA, so no gateway can "
                   "be trusted. Put the org's CA certificate where CA= says and rebuild the image.";
        case ExitStatus::InviteMissing:
            return "This node is not enrolled and has no readable invite. Create one with "
                   "fortros-gateway invite create and put it where Invite= says.";
        case ExitStatus::NoLink:
            return "No network interface came up with an address. Check cable, driver and DHCP, "
                   "and Interfaces= and Mode= in the settings.";
        case ExitStatus::NoGateway:
            return "No gateway answered at any address that was found. Check that the gateway runs "
                   "and is reachable from this network, and what its name resolves to.";
        case ExitStatus::GatewayUntrusted:
            return "Something answered, but none of it proved to be this org's gateway. Either "
                   "somebody is in between, or a certificate is expired, from another CA or for "
                   "another name, or the clock of this machine is wrong.";
        case ExitStatus::Refused:
            return "The gateway refused this node: its invite is unknown, expired or spent, or its "
                   "key is not enrolled there. Give it a new invite, or look at the gateway's log.";
        case ExitStatus::Revoked:
            return "The gateway says that this node has been revoked. Only a new invite, with the "
                   "node's key removed from its store, makes it a member again.";
        case ExitStatus::ApprovalPending:
            return "The enrolment waits for an admin's approval, which did not come in time. "
                   "Approve this node's overlay address on the gateway and boot again.";
        case ExitStatus::KeyStoreFailed:
            return "The node's key or state could not be stored or read back, so no invite was "
                   "spent. Check KeyStore= and StateStore=, and that the firmware's variable "
                   "store is neither full nor read-only.";
        case ExitStatus::OverlayFailed:
            return "WireGuard, its routes or its guard could not be configured. Check that the "
                   "image has the wireguard and nf_tables kernel modules.";
        case ExitStatus::NoHandshake:
            return "The node is enrolled, but the gateway's WireGuard does not answer. Check that "
                   "its UDP port is reachable and that no clock has gone backwards.";
        case ExitStatus::HandOffFailed:
            return "/run/fortros could not be written, so the real root can't adopt the overlay. "
                   "Check that /run is a tmpfs with room.";
        case ExitStatus::PolicyLost:
            return "The node has a key but no memory of its org, so only cached addresses were "
                   "allowed, and none led to a gateway. Set Gateways=, or remove the key too and "
                   "enrol the node anew.";
        case ExitStatus::GatewayBusy:
            return "Gateways answered, but only that they are busy. Boot again later, or give the "
                   "node more time with TotalTimeout=.";
        case ExitStatus::ForbiddenCall:
            return "The agent made a system call that a boot does not need, and was ended. Please "
                   "report the number of the call; if nothing explains it, somebody on the network "
                   "may have tried to take the agent over.";
    }
    return "";
}

}  // namespace fortros
