// Admission: who asks, whether he may come in, and what he is told. The protocol's server side, as
// logic over interfaces: no socket, no clock, no database, no kernel.
//
//   target, method ── unknown ─▶ 404, 405
//   node header, proof ── wrong in any way ─▶ 401, the same for every key, before any look-up
//   body ── malformed ─▶ 400
//   registry ── no member, bad invite, rejected ─▶ 401   revoked, retired ─▶ 403   address taken ─▶ 409
//            ── an admin has to approve ─▶ 202 with Retry-After    too many wait ─▶ 429
//   tunnel, attestation ─▶ 200
//   registry, kernel or signer fails ─▶ 503 with Retry-After
//
// Everything after the proof is answered under the answer's proof. A 200 is given only when the
// registry has the member on disk and the kernel has the peer.
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
#include "gateway/boot_history.h"
#include "gateway/exchange.h"
#include "gateway/publisher.h"
#include "gateway/rate_limit.h"
#include "gateway/registry.h"
#include "gateway/signer.h"
#include "gateway/tunnels.h"

namespace fortros::gateway {

inline constexpr std::chrono::days attestation_life{30};
// A session's keys are used for at most so long (REJECT_AFTER_TIME, the WireGuard paper, 6.1).
inline constexpr std::chrono::seconds session_life{180};

// What the gateway is to its nodes.
struct GatewaySelf {
    OrgPrefix prefix;
    std::string domain{};
    PrivateKey private_key{};  // WireGuard's
    PublicKey public_key;
    std::vector<Endpoint> endpoints{};  // of its WireGuard, as nodes can reach it
    std::uint16_t keepalive_seconds = 0;
};

class Admission {
public:
    // Borrowed; must outlive the admission.
    struct Parts {
        Registry& registry;
        Tunnels& tunnels;
        const AttestationSigner& signer;
        Random& random;
        Log& log;
    };

    Admission(GatewaySelf self, Parts parts);

    // Makes the gateway's own attestation, or renews it if it is time. Happens by itself; at start
    // it is asked for, so that a signer that can't sign is heard of before the first node is.
    Status attest_self(WallTime now);

    Answer handle(const Request& request, WallTime now);

private:
    // A request whose sender holds the private key of `node`.
    struct Proved {
        PublicKey node;
        ProofKey key;
        Proof proof{};
    };
    std::optional<Proved> authenticate(const Request& request) const;
    Answer answer(const Request& request, const Proved& proved, WallTime now);
    Result<Decision> decide(const NodeRequest& body, const SecretBytes& invite,
                            const Request& request, const Proved& proved, WallTime now);
    Result<Answer> welcome(const Member& member, const NodeRequest& body, const Request& request,
                           WallTime now);
    Answer ask_to_wait(const Waiting& waiting, const Request& request);
    Answer refuse(RefusalCode code, const Request& request, const Proved& proved, WallTime now);
    Answer come_back_later(const Error& error, const Request& request, WallTime now);
    void seal(Answer& answer, const Proved& proved) const;

    void report_shared_key(const NodeRecord& node, WallTime now);
    Status prepare_tunnel(const NodeRecord& node, const NodeRequest& body, WallTime now);
    Result<NodeRecord> with_fresh_attestation(const NodeRecord& node, WallTime now);
    Result<Bytes> attest(const PublicKey& node, Role role, std::uint64_t serial,
                         WallTime not_after) const;
    // The not-after of an attestation made now. Untrusted if the signer is not valid now.
    Result<WallTime> next_not_after(WallTime now) const;
    bool worth_renewing(WallTime not_after, WallTime now) const;
    Result<MeshPeer> own_peer(WallTime now);
    // What the node may come up from at its next boot, before any gateway has answered.
    Result<Bytes> bootstrap_set_for(const NodeRecord& node, const std::vector<MeshPeer>& peers,
                                    const OrgDocument& org, WallTime now) const;

    GatewaySelf m_self;
    IpAddress m_address;
    Parts m_parts;
    Publisher m_publisher;
    std::optional<Attested> m_own{};  // as the registry has it
    Bytes m_own_attestation{};
    std::map<PublicKey, BootHistory> m_boots;  // of each member since our start
    RateLimit m_strangers;                     // requests without a valid proof
    RateLimit m_refusals;                      // proved ones: these go to the audit log, too
    RateLimit m_failures;
};

}  // namespace fortros::gateway
