// Membership news by Serf: an agent beside the maintainer gossips with those of other nodes over the
// overlay (SWIM with Lifeguard, encrypted), so that members learn of each other with every gateway down,
// and of latencies to nodes that they never spoke to. It stands beside the gateways' feed, which alone
// has the org's document and this node's own renewals. It judges no member, and Serf's silence ends none.
#pragma once

#include <cstddef>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/overlay.h"
#include "maintainer/membership.h"
#include "maintainer/serf_client.h"
#include "os/loop.h"

namespace fortros {

// In the run directory, mode 0600: what the agent is started with (serf agent -config-file).
inline constexpr std::string_view serf_config_file = "serf.json";

// The agent's settings as JSON. `cluster_key`: 32 bytes in base64, the same on all nodes, for Serf's own
// encryption. Pure.
std::string serf_config(const PublicKey& node, const IpAddress& overlay_address,
                        const Endpoint& agent, std::string_view cluster_key,
                        std::string_view password);

// All of it must outlive the engine.
struct SerfMembershipParts {
    Loop& loop;
    Log& log;
    Random& random;
    MembershipListener& listener;
    // How far a member seems to be.
    std::function<void(const PublicKey& member, Duration rtt)> estimated;
};

class SerfMembership final : public Membership {
public:
    SerfMembership(SerfMembershipParts parts, const PublicKey& self, const OrgPrefix& prefix,
                   const Endpoint& agent, std::string password);

    void start() override;
    MembershipStatus status() const override;

    // What this node tells of itself, and whom Serf may begin with: lighthouses.
    void announce(Bytes attestation);
    void introduce(std::vector<IpAddress> lighthouses);

private:
    void hear(SerfHeard heard);
    void take(SerfMembersHeard heard);
    void take(const SerfCoordinateHeard& heard);
    void ask_coordinates();

    SerfMembershipParts m_parts;
    PublicKey m_self;
    OrgPrefix m_prefix;
    Endpoint m_agent;
    std::string m_password;
    Bytes m_attestation{};
    std::vector<IpAddress> m_lighthouses{};
    std::optional<SerfClient> m_client{};  // once started
    std::map<PublicKey, bool> m_alive{};   // of those that Serf knows
    PublicKey m_asked{};  // whose coordinate was asked for last, in the order of keys
    std::optional<SerfCoordinate> m_place{};
    std::optional<Instant> m_heard{};
    std::string m_problem{"the Serf agent has not answered yet"};
    Loop::Timer m_next{};
};

}  // namespace fortros
