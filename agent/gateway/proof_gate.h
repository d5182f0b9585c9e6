// Proof of possession at the gateway's side, before anybody decides anything: a request goes on only if
// its sender holds the private key of the node that he claims to be, and what it is answered is sealed for
// that node. It looks nobody up: a wrong proof is the same for every key, and never waits.
//
//   target, method ── unknown ─▶ 404, 405
//   node header, proof ── wrong in any way ─▶ 401, the same for every key
//   whoever decides ─▶ his answer, sealed
#pragma once

#include <functional>

#include "base/log.h"
#include "base/time.h"
#include "core/key.h"
#include "core/proof.h"
#include "gateway/exchange.h"
#include "gateway/rate_limit.h"

namespace fortros::gateway {

// A request whose sender holds the private key of `node`, over this very connection.
struct Proved {
    Request request;
    PublicKey node;
    ProofKey key;
};

class ProofGate {
public:
    // Takes what is proved, and answers it once; the answer is sealed on its way.
    using Next = std::function<void(Proved, Reply)>;

    // The gateway's WireGuard key. `log` must outlive the gate.
    ProofGate(PrivateKey key, const PublicKey& public_key, Log& log, Next next);

    void handle(Request request, Reply reply, WallTime now);

private:
    std::optional<Proof> check(const Request& request, const PublicKey& node,
                               const ProofKey& key) const;
    Answer refuse(const Request& request, WallTime now);

    PrivateKey m_key;
    PublicKey m_public_key;
    Log& m_log;
    Next m_next;
    RateLimit m_strangers;
};

}  // namespace fortros::gateway
