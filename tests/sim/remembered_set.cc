#include "sim/remembered_set.h"

namespace fortros::sim {

using namespace fakes;

static constexpr std::uint64_t newest_document = 3;

std::string_view name_of(RememberedSet kind) {
    switch (kind) {
        case RememberedSet::None: return "none";
        case RememberedSet::Sound: return "sound";
        case RememberedSet::Expired: return "expired";
        case RememberedSet::Altered: return "altered";
        case RememberedSet::OfAnother: return "another node's";
        case RememberedSet::Older: return "older than the newest";
        case RememberedSet::OlderPolicy: return "of an older policy";
        case RememberedSet::ByStranger: return "signed by a stranger";
        case RememberedSet::OtherPrefix: return "of another prefix";
    }
    return "none";
}

MeshPeer make_peer(BootWorld& world, const PublicKey& key, Role role,
                   const std::vector<Endpoint>& endpoints, const Timeline<bool>& answers) {
    for (const auto& endpoint : endpoints) world.wireguards[endpoint] = {key, answers};
    return {.key = key,
            .role = role,
            .overlay_address = overlay_address(world.org.prefix, key),
            .endpoints = endpoints};
}

void remember_set(BootWorld& world, RememberedSet kind, const PublicKey& node,
                  std::vector<MeshPeer> peers, Random& random) {
    static const FakeSigner stranger;
    world.org.document_serial = newest_document;
    if (kind == RememberedSet::None) return;
    NodeState& state = *world.stored_state;
    PublicKey somebody = node, other_node = node;
    somebody.bytes[7] ^= 1;
    other_node.bytes[8] ^= 1;
    if (kind != RememberedSet::Sound)
        peers.push_back(make_peer(world, somebody, Role::Gateway,
                                  {*Endpoint::parse("198.51.100.99:51820")}, true));
    const FakeSigner& signer = kind == RememberedSet::ByStranger ? stranger : world.org.signer;
    const auto seconds = static_cast<std::uint64_t>(world.wall.time_since_epoch().count());
    BootstrapSet set{
        .prefix = world.org.prefix,
        .node = kind == RememberedSet::OfAnother ? other_node : node,
        .serial = seconds - 1 - random.below(1'000'000),
        .not_after = world.wall + one_day * (1 + random.below(14)),
        .policy_serial = newest_document - (kind == RememberedSet::OlderPolicy ? 1 : 0),
        .peers = std::move(peers)};
    if (kind == RememberedSet::Expired)
        set.not_after = world.wall - std::chrono::seconds{1 + random.below(1'000'000)};
    if (kind == RememberedSet::OtherPrefix) set.prefix.bytes[3] ^= 1;
    state.bootstrap_set = signer.sign(set);
    state.bootstrap_signer = signer.certificate();
    state.bootstrap_serial = set.serial + (kind == RememberedSet::Older ? 1 : 0);
    state.document_serial = newest_document;
    if (kind == RememberedSet::Altered)
        state.bootstrap_set[static_cast<std::size_t>(random.below(state.bootstrap_set.size()))] ^=
            static_cast<std::uint8_t>(1 + random.below(255));
}

}  // namespace fortros::sim
