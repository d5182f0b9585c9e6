// What a machine of preboot (boot.h, probe.h) wants done, and what it is told: the whole traffic between
// the pure machines and the shell (shell.h) that performs their actions.
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/clock_rule.h"
#include "core/discovery.h"
#include "core/exit_status.h"
#include "core/gateway_identity.h"
#include "core/handoff.h"
#include "core/http.h"
#include "core/overlay_plan.h"
#include "core/state.h"

namespace fortros {

// A moment on both clocks.
struct Now {
    Instant instant;
    WallTime wall;
};

// --- what the machine wants done ---

struct Report {
    LogEntry entry;
};
struct BringUpLinks {};
struct Connect {
    Discovery::Id id;
    Endpoint endpoint;
    CertificateTime time;  // when the gateway's certificates are judged
    unsigned ifindex = 0;  // by this link only; 0: as the routes lead
};
// The routes shall prefer this link, so that what is bound to none follows.
struct PreferLink {
    unsigned ifindex;
};
struct Disconnect {
    Discovery::Id id;
};
struct Send {
    Discovery::Id id;
    SecretBytes bytes;
};
struct StoreKey {
    PrivateKey key;
};
// The system's clock and the hardware's.
struct SetClock {
    WallTime time;
};
struct ApplyOverlay {
    OverlayPlan plan;
    PrivateKey key;
    bool remembered = false;  // before any gateway has answered
    // A peer whose session, if there is one, the other side has forgotten: begin anew with it.
    std::optional<PublicKey> renew{};
};
struct AwaitHandshake {
    std::string interface;
    PublicKey peer;
    IpAddress address;  // the peer's, in the overlay: a packet to it starts the handshake
};
struct TakeDownOverlay {};
struct SaveState {
    NodeState state;
};
struct WriteHandOff {
    HandOff hand_off;
};
struct Finish {
    ExitStatus status;
};

using BootAction =
    std::variant<Report, BringUpLinks, Discovery::Lookup, Discovery::CancelLookup, Connect,
                 PreferLink, Disconnect, Send, StoreKey, SetClock, ApplyOverlay, AwaitHandshake,
                 TakeDownOverlay, SaveState, WriteHandOff, Finish>;

// --- what it is told ---

// A link works, or what is known of it has changed.
struct LinkUsable {
    UplinkHandOff link;
};
// A link that worked does not any more; what it had stays configured.
struct LinkLost {
    unsigned ifindex;
    std::string why;
};
// Why no link works so far, in words; told again whenever it changes.
struct LinkTrouble {
    std::string why;
};
// By this link the routes lead where this look-up or connection, bound to none, has gone.
struct LeftBy {
    Discovery::Id id;
    unsigned ifindex;
};
struct LookupDone {
    Discovery::Id id;
    Result<std::vector<Endpoint>> endpoints;
};
struct Connected {
    Discovery::Id id;
};
struct Authenticated {
    Discovery::Id id;
    GatewayIdentity gateway;
};
struct AttemptFailed {
    Discovery::Id id;
    Error error;
};
struct Answered {
    Discovery::Id id;
    HttpAnswer answer;
};
struct KeyStored {
    Status status;
};
struct OverlayApplied {
    Result<std::vector<InterfaceHandOff>> interfaces;
    bool remembered = false;  // as in ApplyOverlay
};
struct HandshakeAnswered {
    PublicKey peer;
};
struct StateSaved {
    Status status;
};
struct HandOffWritten {
    Status status;
};
// The machine's deadline has come.
struct Tick {};

using BootEvent = std::variant<LinkUsable, LinkLost, LinkTrouble, LeftBy, LookupDone, Connected,
                               Authenticated, AttemptFailed, Answered, KeyStored, OverlayApplied,
                               HandshakeAnswered, StateSaved, HandOffWritten, Tick>;

class Machine {
public:
    Machine() = default;
    Machine(const Machine&) = delete;
    Machine& operator=(const Machine&) = delete;
    virtual ~Machine() = default;

    virtual std::vector<BootAction> start(Now now) = 0;
    virtual std::vector<BootAction> step(BootEvent event, Now now) = 0;
    // When Tick is due; nothing while only something on the node itself is waited for.
    virtual std::optional<Instant> deadline() const = 0;
};

}  // namespace fortros
