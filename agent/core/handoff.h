// The hand-off: what preboot leaves in /run/fortros/bootstrap.json for the maintainer (mode 0600).
// Schema in protocol/bootstrap.schema.json. It holds no secret: the kernel has the private key.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/time.h"
#include "core/dhcp6_lease.h"
#include "core/dhcp_lease.h"
#include "core/messages.h"
#include "core/org_document.h"
#include "core/overlay_plan.h"
#include "core/settings.h"
#include "core/shared.h"
#include "core/source.h"

namespace fortros {

inline constexpr std::string_view run_directory = "/run/fortros";
inline constexpr std::string_view handoff_file = "bootstrap.json";
inline constexpr std::string_view events_file = "events.jsonl";
inline constexpr std::size_t handoff_size_limit = std::size_t{2} * 1024 * 1024;
inline constexpr std::size_t uplinks_limit = 16;
inline constexpr std::size_t handoff_gateways_limit = 64;

struct InterfaceHandOff {
    InterfacePlan plan;  // with the listen port that the kernel really uses
    unsigned ifindex = 0;
};

// The link that carries the tunnel. Named by ifindex and MAC: udev renames links after the pivot.
struct UplinkHandOff {
    unsigned ifindex = 0;
    std::string name{};
    std::string mac{};                  // "52:54:00:12:34:56"
    std::optional<VlanSetting> vlan{};  // absent: it is not of our making
    std::vector<IpNetwork> addresses{};
    std::vector<IpAddress> gateways{};
    std::vector<IpAddress> resolvers{};
    // All that the real root's client needs to renew or release what was leased; absent: nothing was.
    Shared<DhcpLease> dhcp{};
    Shared<Dhcp6Lease> dhcp6{};
    bool reached_gateway = false;  // by this link a gateway has proved itself
    bool operator==(const UplinkHandOff&) const = default;
};

struct StageTiming {
    std::string stage;
    double milliseconds = 0;
};

struct HandOff {
    WallTime time{};        // when it was written: all that is signed in it was in force then
    std::string boot_id{};  // as the gateway was told it; empty: an older preboot has written this
    PublicKey node;
    IpAddress overlay_address;
    Role role = Role::Node;
    std::string hostname{};
    Bytes attestation{};
    OrgPrefix prefix;
    std::string domain{};
    std::string gateway_name{};
    std::vector<Bytes> authorities{};  // the pinned CA certificates, DER
    std::vector<Bytes> signers{};      // certificates, DER
    Bytes document{};                  // the org document; empty where nobody has answered
    OrgFloor floor{};                  // of what was seen before: above all where there is none
    // No gateway has answered yet: the overlay is what the bootstrap set says (core/bootstrap_set.h).
    // Then the next three mean nothing, the peers have no attestations, and there is no document.
    bool remembered = false;
    Endpoint gateway;  // that answered
    PublicKey gateway_key;
    Source source = Source::Cached;
    bool handshake_answered = false;
    // HTTPS endpoints of gateways that have proved themselves or are baked in, the best first.
    std::vector<Endpoint> gateways{};
    StoreSetting state_store{StoreKind::Ephemeral};  // where the node's state is kept
    // What the image allows to name a gateway, now that the node is enrolled. Absent: not said.
    std::optional<SourceSet> sources{};
    GuardMode guard = GuardMode::Nftables;  // what keeps plaintext overlay packets out
    std::vector<InterfaceHandOff> interfaces{};
    std::vector<MeshPeer> peers{};
    std::vector<UplinkHandOff> uplinks{};
    std::vector<StageTiming> timeline{};
};

std::string to_json_text(const HandOff& hand_off);
Result<HandOff> parse_hand_off(std::string_view text);

}  // namespace fortros
