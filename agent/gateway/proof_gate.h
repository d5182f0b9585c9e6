// Proof of possession at the gateway's side: whose private key a request was made with, and the seal on
// what such a node is answered. It looks nobody up: a wrong proof is the same for every key.
#pragma once

#include <optional>

#include "base/log.h"
#include "base/time.h"
#include "core/key.h"
#include "core/proof.h"
#include "gateway/exchange.h"
#include "gateway/rate_limit.h"

namespace fortros::gateway {

// A request whose sender holds the private key of `node`, over this very connection.
struct Proved {
    PublicKey node;
    ProofKey key;
    Proof proof{};
};

class ProofGate {
public:
    // The gateway's WireGuard key. `log` must outlive the gate.
    ProofGate(PrivateKey key, const PublicKey& public_key, Log& log);

    std::optional<Proved> check(const Request& request) const;

    // The 401 for whoever does not pass; noted within a bound.
    Answer refuse(const Request& request, WallTime now);

    // The last thing that is done to an answer: it covers all of it.
    static void seal(Answer& answer, const Proved& proved);

private:
    PrivateKey m_key;
    PublicKey m_public_key;
    Log& m_log;
    RateLimit m_strangers;
};

// The key that a request claims, proved or not; nothing if it claims none.
std::optional<PublicKey> claimed_node(const Request& request);

}  // namespace fortros::gateway
