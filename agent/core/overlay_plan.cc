#include "core/overlay_plan.h"

#include <algorithm>
#include <set>

namespace fortros {

static constexpr std::size_t name_limit = 15;  // IFNAMSIZ without its NUL
static constexpr std::size_t text_limit = 64;  // an address, a network, an endpoint
static constexpr std::size_t key_text_size = 44;
static constexpr std::size_t addresses_limit = 16;
static constexpr std::size_t routes_limit = 1024;
static constexpr std::size_t peers_limit = 1024;
static constexpr std::size_t allowed_ips_limit = 64;
static constexpr std::int64_t mtu_min = 1280;  // RFC 8200: below it an interface has no IPv6
static constexpr std::int64_t mtu_max = 65455;

// --- the plan -----------------------------------------------------------------------------------

Status check_endpoint(const Endpoint& endpoint, const OrgPrefix& prefix) {
    static const IpAddress broadcast = IpAddress::v4({255, 255, 255, 255});
    const IpAddress& address = endpoint.address;
    if (prefix.contains(address))
        return fail(ErrorCode::Untrusted, "an endpoint lies inside the overlay it should carry",
                    endpoint.text());
    if (address.is_unspecified() || address.is_multicast() || address.is_loopback() ||
        address.is_link_local() || address == broadcast)
        return fail(ErrorCode::Untrusted, "an endpoint is not an address of a host",
                    endpoint.text());
    return {};
}

// The one whose address has just answered, or else one of its family: a node without IPv6 must not
// be given the IPv6 endpoint that happens to come first.
static std::optional<Endpoint> best_endpoint(const MeshPeer& peer, const OrgPrefix& prefix,
                                             const std::optional<IpAddress>& reached) {
    const auto distance = [&](const Endpoint& endpoint) {
        if (!reached || endpoint.address == *reached) return 0;
        return endpoint.address.family() == reached->family() ? 1 : 2;
    };
    std::optional<Endpoint> best;
    for (const Endpoint& endpoint : peer.endpoints)
        if (!prefix.contains(endpoint.address) && (!best || distance(endpoint) < distance(*best)))
            best = endpoint;
    return best;
}

static WireGuardPeer wireguard_peer(const MeshPeer& peer, const OrgPrefix& prefix,
                                    const IpNetwork& allowed,
                                    const std::optional<IpAddress>& reached) {
    return {.key = peer.key,
            .endpoint = best_endpoint(peer, prefix, reached),
            .allowed_ips = {allowed},
            .keepalive_seconds = peer.keepalive_seconds};
}

OverlayPlan make_overlay_plan(const OrgPrefix& prefix, const IpAddress& own_address,
                              const std::vector<MeshPeer>& peers, const OverlayOptions& options) {
    InterfacePlan direct{.name = std::string(direct_interface),
                         .listen_port = options.listen_port,
                         .mtu = options.mtu,
                         .addresses = {IpNetwork::host(own_address)}};
    std::vector<InterfacePlan> lighthouses;
    std::set<PublicKey> seen;
    for (const MeshPeer& peer : peers) {
        if (peer.overlay_address == own_address || !seen.insert(peer.key).second) continue;
        const IpNetwork host = IpNetwork::host(peer.overlay_address);
        if (peer.role == Role::Node) {
            direct.peers.push_back(wireguard_peer(peer, prefix, host, options.reached));
            direct.routes.push_back({host, host_route_metric});
            continue;
        }
        const std::size_t number = lighthouses.size();
        if (number == lighthouse_limit) continue;
        const auto metric = lighthouse_metric_base + static_cast<std::uint32_t>(number);
        lighthouses.push_back(
            {.name = std::string(lighthouse_interface_prefix) + std::to_string(number),
             .mtu = options.mtu,
             .routes = {{host, host_route_metric}, {prefix.network(), metric}},
             .peers = {wireguard_peer(peer, prefix, prefix.network(), options.reached)}});
    }
    direct.routes.push_back({prefix.network(), direct_prefix_metric});

    OverlayPlan plan{.address = own_address, .prefix = prefix};
    plan.interfaces.push_back(std::move(direct));
    std::ranges::move(lighthouses, std::back_inserter(plan.interfaces));
    return plan;
}

// --- JSON ---------------------------------------------------------------------------------------

static Json to_json(const WireGuardPeer& peer) {
    Json json{Json::Object{}};
    json.set("public_key", peer.key.base64());
    if (peer.endpoint) json.set("endpoint", peer.endpoint->text());
    Json allowed_ips{Json::Array{}};
    for (const IpNetwork& network : peer.allowed_ips) allowed_ips.push(network.text());
    json.set("allowed_ips", std::move(allowed_ips));
    if (peer.keepalive_seconds != 0) json.set("keepalive_seconds", int{peer.keepalive_seconds});
    return json;
}

Json to_json(const InterfacePlan& plan) {
    Json json{Json::Object{}};
    json.set("name", plan.name);
    json.set("listen_port", int{plan.listen_port});
    json.set("mtu", plan.mtu);
    Json addresses{Json::Array{}};
    for (const IpNetwork& address : plan.addresses) addresses.push(address.text());
    json.set("addresses", std::move(addresses));
    Json routes{Json::Array{}};
    for (const RoutePlan& route : plan.routes) {
        Json item{Json::Object{}};
        item.set("destination", route.destination.text());
        item.set("metric", route.metric);
        routes.push(std::move(item));
    }
    json.set("routes", std::move(routes));
    Json peers{Json::Array{}};
    for (const WireGuardPeer& peer : plan.peers) peers.push(to_json(peer));
    json.set("peers", std::move(peers));
    return json;
}

static bool is_numbered(std::string_view name, std::string_view prefix) {
    if (!name.starts_with(prefix)) return false;
    const std::string_view number = name.substr(prefix.size());
    return !number.empty() && number.find_first_not_of("0123456789") == std::string_view::npos;
}

bool is_lighthouse_interface(std::string_view name) {
    return is_numbered(name, lighthouse_interface_prefix);
}

bool is_overlay_interface(std::string_view name) {
    return is_numbered(name, direct_interface_prefix) || is_lighthouse_interface(name);
}

static Result<std::vector<IpNetwork>> read_networks(const JsonReader& in, std::string_view key,
                                                    std::size_t limit) {
    std::vector<IpNetwork> networks;
    for (const Json& item : *TRY(in.array(key, limit))) {
        const auto* text = item.string();
        const auto network =
            text && text->size() <= text_limit ? IpNetwork::parse(*text) : std::nullopt;
        if (!network) return in.bad(key, "holds something that is not ADDRESS/LENGTH");
        networks.push_back(*network);
    }
    return networks;
}

// The overlay is IPv6 alone.
static Result<std::vector<IpNetwork>> read_addresses(const JsonReader& in) {
    auto addresses = TRY(read_networks(in, "addresses", addresses_limit));
    if (std::ranges::any_of(addresses, [](const auto& it) { return it.address.is_v4(); }))
        return in.bad("addresses", "holds an IPv4 address");
    return addresses;
}

static Result<RoutePlan> read_route(const Json& json, const std::string& where) {
    const JsonReader in(json, where);
    const auto destination = IpNetwork::parse(TRY(in.string("destination", text_limit)));
    if (!destination || destination->address.is_v4() || *destination != destination->network())
        return in.bad("destination", "is not an IPv6 network");
    return RoutePlan{*destination,
                     static_cast<std::uint32_t>(TRY(in.number("metric", 1, UINT32_MAX)))};
}

static Result<WireGuardPeer> read_peer(const Json& json, const std::string& where) {
    const JsonReader in(json, where);
    WireGuardPeer peer;
    const auto key = PublicKey::from_base64(TRY(in.string("public_key", key_text_size)));
    if (!key) return in.bad("public_key", "is not a WireGuard key");
    peer.key = *key;
    if (const auto text = TRY(in.optional_string("endpoint", text_limit))) {
        peer.endpoint = Endpoint::parse(*text);
        if (!peer.endpoint) return in.bad("endpoint", "is not ADDRESS:PORT");
    }
    peer.allowed_ips = TRY(read_networks(in, "allowed_ips", allowed_ips_limit));
    peer.keepalive_seconds = static_cast<std::uint16_t>(
        TRY(in.optional_number("keepalive_seconds", 0, UINT16_MAX)).value_or(0));
    return peer;
}

Result<InterfacePlan> interface_plan_from(const Json& json, const std::string& where) {
    const JsonReader in(json, where);
    InterfacePlan plan;
    plan.name = TRY(in.string("name", name_limit));
    if (!is_overlay_interface(plan.name)) return in.bad("name", "is no overlay interface's");
    plan.listen_port = static_cast<std::uint16_t>(TRY(in.number("listen_port", 0, UINT16_MAX)));
    plan.mtu = static_cast<std::uint32_t>(TRY(in.number("mtu", mtu_min, mtu_max)));
    plan.addresses = TRY(read_addresses(in));
    const auto at = [&](std::string_view list, std::size_t index) {
        return where + "." + std::string(list) + "[" + std::to_string(index) + "]";
    };
    const auto& routes = *TRY(in.array("routes", routes_limit));
    for (std::size_t i = 0; i < routes.size(); ++i)
        plan.routes.push_back(TRY(read_route(routes[i], at("routes", i))));
    const auto& peers = *TRY(in.array("peers", peers_limit));
    for (std::size_t i = 0; i < peers.size(); ++i)
        plan.peers.push_back(TRY(read_peer(peers[i], at("peers", i))));
    return plan;
}

}  // namespace fortros
