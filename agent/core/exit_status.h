// The exit statuses of fortros-preboot: one for each cause that an operator would treat
// differently. Stable and documented in the README; numbers are never reused.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace fortros {

enum class ExitStatus : int {
    Joined = 0,              // in the overlay
    Internal = 1,            // a bug or a failing operating system
    Usage = 2,               // the command line
    SettingsInvalid = 3,     // the settings file or fortros.* on the kernel command line
    TrustAnchorInvalid = 4,  // the pinned CA is missing, unreadable or no CA
    InviteMissing = 5,       // not enrolled yet, and no readable invite
    NoLink = 6,              // no network interface that works
    NoGateway = 7,           // nobody answered at any candidate address
    GatewayUntrusted = 8,    // somebody answered, nobody proved to be the org's gateway
    Refused = 9,             // the gateway refused: invite unknown, expired or spent; proof wrong
    Revoked = 10,            // the gateway says that this node is revoked
    ApprovalPending = 11,    // an admin's approval did not come within the budget
    KeyStoreFailed = 12,     // the node key could not be stored or read; no invite was spent
    OverlayFailed = 13,      // WireGuard, routes or the guard could not be configured
    NoHandshake = 14,        // configured, but the gateway's WireGuard does not answer
    HandOffFailed = 15,      // /run/fortros/bootstrap.json could not be written
    PolicyLost = 16,         // a key without its state: only cached addresses were allowed
    GatewayBusy = 17,        // gateways answered only "come back later" until the budget ended
    ForbiddenCall = 18,      // the agent left its list of system calls: a bug, or an attack
};

inline constexpr int exit_status_count = 19;

std::string_view name_of(ExitStatus status);  // "joined", "no-gateway"
// By its number or its name.
std::optional<ExitStatus> exit_status_from(std::string_view text);

// Sentences for who has to do something about it.
struct Explanation {
    std::string_view what{};  // has happened
    std::string_view look{};  // where there is more
    std::string_view act{};   // how to mend it
};
Explanation explanation_of(ExitStatus status);
std::string explain(ExitStatus status);  // what has happened and how to mend it

}  // namespace fortros
