// Where news of members come from: an engine. The gateway's feed is one (member_feed.h); whatever stands
// beside it or in its place says the same things. An engine never judges: what it tells are claims, and a
// member is who has a good attestation (roster.h).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/time.h"
#include "core/enrolment.h"
#include "core/feed.h"

namespace fortros {

// All of it is told from within the loop. None of it may destroy the engine.
class MembershipListener {
public:
    MembershipListener() = default;
    MembershipListener(const MembershipListener&) = delete;
    MembershipListener& operator=(const MembershipListener&) = delete;

    // What the org says of itself: signer certificates (DER) and its document, which may be empty.
    virtual void heard_org(const std::vector<Bytes>& signers, ByteView document) = 0;
    // The gateways that serve, all of them.
    virtual void heard_gateways(std::vector<MeshPeer> gateways) = 0;
    virtual void heard(std::vector<MemberNews> members) = 0;
    // These are no members any more.
    virtual void removed(const std::vector<PublicKey>& members) = 0;
    // From here on all is said anew; caught_up() ends it. Who is not named in between is no member.
    virtual void starts_anew() = 0;
    virtual void caught_up() = 0;
    // This node's own membership, renewed.
    virtual void renewed(const Joined& joined, const GatewayIdentity& gateway,
                         const Endpoint& endpoint) = 0;
    // An authenticated gateway says that this node is a member no more.
    virtual void cast_out(const std::string& why) = 0;

protected:
    ~MembershipListener() = default;
};

struct MembershipStatus {
    std::string_view engine;         // "gateway", "serf"
    std::optional<Instant> heard{};  // when it was last known to be up to date
    std::string source{};            // who said so
    std::string problem{};           // why nobody says so now; empty: somebody does
    std::uint64_t revision = 0;      // of the feed; of Serf, how many members it knows
};

class Membership {
public:
    Membership() = default;
    Membership(const Membership&) = delete;
    Membership& operator=(const Membership&) = delete;
    virtual ~Membership() = default;

    virtual void start() = 0;
    virtual MembershipStatus status() const = 0;
};

}  // namespace fortros
