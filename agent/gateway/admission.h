// Admission: who asks, whether he may come in, and what he is told. The protocol's server side, as
// logic over interfaces: no socket, no clock, no database, no kernel.
//
//   proof_gate.h ── whoever has proved his key
//   body ── malformed ─▶ 400
//   registry ── no member, bad invite, rejected ─▶ 401   revoked, retired ─▶ 403   address taken ─▶ 409
//            ── an admin has to approve ─▶ 202 with Retry-After    too many wait ─▶ 429
//   tunnel, attestation ─▶ 200
//   registry, kernel or signer fails ─▶ 503 with Retry-After
//
// A 200 is given only when the registry has the member on disk and the kernel has the peer.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/time.h"
#include "core/messages.h"
#include "core/proof.h"
#include "gateway/backbone.h"
#include "gateway/boot_history.h"
#include "gateway/exchange.h"
#include "gateway/issuer.h"
#include "gateway/proof_gate.h"
#include "gateway/rate_limit.h"
#include "gateway/registry.h"
#include "gateway/signer.h"
#include "gateway/tunnels.h"

namespace fortros::gateway {

// A session's keys are used for at most so long (REJECT_AFTER_TIME, the WireGuard paper, 6.1).
inline constexpr std::chrono::seconds session_life{180};

class Admission {
public:
    // Borrowed; must outlive the admission.
    struct Parts {
        Registry& registry;
        Tunnels& tunnels;
        const AttestationSigner& signer;
        Random& random;
        Log& log;
        Vouch vouch;  // for other gateways
    };

    Admission(GatewaySelf self, Parts parts);

    // Neither may be copied or moved: its parts refer to each other.
    Admission(const Admission&) = delete;
    Admission& operator=(const Admission&) = delete;

    // The gateway's own attestation happens by itself; at start it is asked for, so that a signer that
    // can't sign is heard of before the first node is.
    Status attest_self(WallTime now) { return m_issuer.attest_self(now); }

    Issuer& issuer() { return m_issuer; }
    Backbone& backbone() { return m_backbone; }

    // Whether answering this will most likely write to the registry. Decides nothing.
    bool may_write(const Proved& proved, WallTime now);

    // To enroll_target or join_target.
    Answer handle(const Proved& proved, WallTime now);

    // The 503 for a request that could not be served. Nothing of `after`: the error decides when it is
    // worth coming again.
    Answer put_off(const Request& request, const Error& why, Duration after, WallTime now);

    // A member has proved that it is in that boot: two machines that use one key are told of.
    void has_seen(const PublicKey& node, std::string_view boot_id, WallTime now);

private:
    Result<Decision> decide(const NodeRequest& body, const SecretBytes& invite,
                            const Proved& proved, WallTime now);
    Result<Answer> welcome(const Member& member, const NodeRequest& body, const Request& request,
                           WallTime now);
    Answer ask_to_wait(const Waiting& waiting, const Request& request);
    Answer refuse(RefusalCode code, const Proved& proved, WallTime now);

    void report_shared_key(const NodeRecord& node, WallTime now);
    Status prepare_tunnel(const NodeRecord& node, const NodeRequest& body, WallTime now);

    GatewaySelf m_self;
    IpAddress m_address;
    Parts m_parts;
    Issuer m_issuer;
    Backbone m_backbone;
    std::map<PublicKey, BootHistory> m_boots;  // of each member since our start
    RateLimit m_refusals;                      // proved ones: these go to the audit log, too
    RateLimit m_failures;
};

}  // namespace fortros::gateway
