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

Explanation explanation_of(ExitStatus status) {
    switch (status) {
        case ExitStatus::Joined:
            return {"The node is in the overlay.",
                    "fortros-preboot report draws how it got there and what it waited for.",
                    "Nothing."};
        case ExitStatus::Internal:
            return {"The agent or the operating system failed in a way that should not happen.",
                    "The last lines of the kernel log and of /run/fortros/events.jsonl.",
                    "Report them, with the version and the kernel's."};
        case ExitStatus::Usage:
            return {"The command line is not understood.", "fortros-preboot --help.",
                    "Correct the line that starts it."};
        case ExitStatus::SettingsInvalid:
            return {"The settings file or a fortros.* word on the kernel command line is wrong.",
                    "The log has the file and the line. fortros-preboot check-config FILE tells "
                    "without a boot.",
                    "Correct it and build the image again."};
        case ExitStatus::TrustAnchorInvalid:
            return {
                "The org CA in this image is missing, unreadable, not a CA or has ended, so no "
                "gateway can be trusted.",
                "What CA= names, in the image; fortros-preboot check-config.",
                "Put the org's CA certificate (ca.pem of certs/make-org) there and build the image "
                "again."};
        case ExitStatus::InviteMissing:
            return {"This node is not enrolled and has no readable invite.",
                    "What Invite= names, in the image. A node that should be enrolled has lost its "
                    "key: look at KeyStore=.",
                    "Create one with fortros-gateway invite create and put it where Invite= says."};
        case ExitStatus::NoLink:
            return {"No network interface came up with an address.",
                    "The log has each interface and its reason: no carrier, no lease, not allowed, "
                    "no driver.",
                    "Check cable, driver and DHCP, and Interfaces= and Mode= in the settings."};
        case ExitStatus::NoGateway:
            return {"No gateway answered at any address that was found.",
                    "fortros-preboot probe: what each resolver and candidate answered.",
                    "Check that the gateway runs, that TCP to it passes from this network, and "
                    "what its name resolves to."};
        case ExitStatus::GatewayUntrusted:
            return {"Something answered, but none of it proved to be this org's gateway.",
                    "The log has the reason for each; fortros-preboot probe asks again. date tells "
                    "the clock.",
                    "Renew a certificate that has expired, correct one from another CA or for "
                    "another name, or the clock; otherwise somebody is in between."};
        case ExitStatus::Refused:
            return {
                "The gateway refused this node: its invite is unknown, expired or spent, or its "
                "key is not enrolled there.",
                "fortros-gateway invite list and audit show on the gateway.",
                "Give the node a new invite, or approve it."};
        case ExitStatus::Revoked:
            return {"The gateway says that this node has been revoked or retired.",
                    "fortros-gateway audit show on the gateway: who did it, and when.",
                    "Only a new invite, with the node's key removed from its store, makes it a "
                    "member again."};
        case ExitStatus::ApprovalPending:
            return {"The enrolment waits for an admin's approval, which did not come in time.",
                    "fortros-gateway node waiting on the gateway; compare the whole address with "
                    "the node's console.",
                    "fortros-gateway node approve ADDRESS, and boot again. ApprovalTimeout= gives "
                    "more time."};
        case ExitStatus::KeyStoreFailed:
            return {
                "The node's key or state could not be stored or read back, so no invite was spent.",
                "KeyStore= and StateStore=; /sys/firmware/efi/efivars for a firmware whose "
                "variable store is full or read-only.",
                "Make room there (pstore's dumps, for example), or name a file: on a disk that is "
                "mounted early and root's."};
        case ExitStatus::OverlayFailed:
            return {"WireGuard, its routes or its guard could not be configured.",
                    "The log has the kernel's own words; lsmod.",
                    "Put the wireguard and nf_tables kernel modules into the image and have them "
                    "loaded, or set Guard=none."};
        case ExitStatus::NoHandshake:
            return {"The node is enrolled, but the gateway's WireGuard does not answer.",
                    "wg show on the gateway: whether it knows this node, and has heard it.",
                    "Let its UDP port through; make sure that no clock has gone backwards."};
        case ExitStatus::HandOffFailed:
            return {"/run/fortros could not be written, so the real root can't adopt the overlay.",
                    "df /run; mount.", "Have a tmpfs with room on /run before the agent starts."};
        case ExitStatus::PolicyLost:
            return {
                "The node has a key but no memory of its org, so only cached addresses were "
                "allowed, and none led to a gateway.",
                "Whether the variable FortrosState, or what StateStore= names, was deleted or "
                "spoilt, and by whom.",
                "Set Gateways=, or remove the key too and enrol the node anew."};
        case ExitStatus::GatewayBusy:
            return {"Gateways answered, but only that they are busy.",
                    "fortros_gateway_ready and door_waiting of the gateway's metrics.",
                    "Boot again later, or give the node more time with TotalTimeout=."};
        case ExitStatus::ForbiddenCall:
            return {"The agent made a system call that a boot does not need, and was ended.",
                    "The number of the call in the log, and what was on the network then.",
                    "Report the number; if nothing explains it, somebody may have tried to take "
                    "the agent over."};
    }
    return {};
}

std::string explain(ExitStatus status) {
    const Explanation explanation = explanation_of(status);
    return std::string(explanation.what) + " " + std::string(explanation.act);
}

std::optional<ExitStatus> exit_status_from(std::string_view text) {
    for (int number = 0; number < exit_status_count; ++number) {
        const auto status = static_cast<ExitStatus>(number);
        if (text == name_of(status) || text == std::to_string(number)) return status;
    }
    return std::nullopt;
}

}  // namespace fortros
