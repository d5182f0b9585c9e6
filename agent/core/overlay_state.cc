#include "core/overlay_state.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <ranges>
#include <set>
#include <utility>

namespace fortros {

using Kind = OverlayChange::Kind;

static const InterfaceState* find(const std::vector<InterfaceState>& have, std::string_view name) {
    const auto found = std::ranges::find(have, name, [](const InterfaceState& state) {
        return std::string_view(state.wireguard.name);
    });
    return found == have.end() ? nullptr : &*found;
}

// --- names --------------------------------------------------------------------------------------

// The lighthouse interface whose only peer is the one of `wanted`.
static const InterfaceState* interface_of(const InterfacePlan& wanted,
                                          const std::vector<InterfaceState>& have) {
    if (wanted.peers.size() != 1) return nullptr;
    for (const InterfaceState& state : have) {
        const auto& peers = state.wireguard.peers;
        if (is_lighthouse_interface(state.wireguard.name) && peers.size() == 1 &&
            peers.front().peer.key == wanted.peers.front().key)
            return &state;
    }
    return nullptr;
}

void keep_lighthouse_interfaces(OverlayPlan& plan, const std::vector<InterfaceState>& have) {
    std::vector<InterfacePlan*> unnamed;
    std::set<std::string> taken;
    for (InterfacePlan& interface : plan.interfaces) {
        if (!is_lighthouse_interface(interface.name)) continue;
        const InterfaceState* kept = interface_of(interface, have);
        if (kept && taken.insert(kept->wireguard.name).second)
            interface.name = kept->wireguard.name;
        else
            unnamed.push_back(&interface);
    }
    unsigned number = 0;
    for (InterfacePlan* interface : unnamed) {
        do {
            interface->name = std::string(lighthouse_interface_prefix) + std::to_string(number++);
        } while (!taken.insert(interface->name).second);
    }
}

// --- changes ------------------------------------------------------------------------------------

namespace {

class Difference {
public:
    Difference(const OverlayPlan& plan, const PublicKey& node,
               const std::vector<InterfaceState>& have)
        : m_plan(plan), m_node(node), m_have(have) {}

    std::vector<OverlayChange> changes() {
        for (const InterfacePlan& interface : m_plan.interfaces)
            tunnel(interface, state(interface));
        for (const InterfacePlan& interface : m_plan.interfaces)
            add_addresses(interface, state(interface));
        for (const InterfacePlan& interface : m_plan.interfaces)
            add_routes(interface, state(interface));
        for (const InterfacePlan& interface : m_plan.interfaces)
            remove_superfluous(interface, state(interface));
        std::ranges::move(m_removals, std::back_inserter(m_changes));
        for (const InterfaceState& state : m_have) {
            const std::string& name = state.wireguard.name;
            if (is_lighthouse_interface(name) &&
                !std::ranges::contains(m_plan.interfaces, name, &InterfacePlan::name))
                add({.kind = Kind::RemoveInterface, .interface = name});
        }
        return std::move(m_changes);
    }

private:
    using RouteKey = std::pair<IpNetwork, std::uint32_t>;  // with its metric

    const InterfaceState& state(const InterfacePlan& interface) const {
        static const InterfaceState absent;
        const InterfaceState* found = find(m_have, interface.name);
        return found ? *found : absent;
    }

    void add(OverlayChange change) { m_changes.push_back(std::move(change)); }

    void tunnel(const InterfacePlan& want, const InterfaceState& have) {
        const bool create = have.wireguard.name.empty();
        if (create)
            add({.kind = Kind::CreateInterface, .interface = want.name, .number = want.mtu});
        else if (have.mtu != want.mtu)
            add({.kind = Kind::SetMtu, .interface = want.name, .number = want.mtu});
        if (have.wireguard.public_key != m_node)
            add({.kind = Kind::SetPrivateKey, .interface = want.name});
        if (want.listen_port != 0 && have.wireguard.listen_port != want.listen_port)
            add({.kind = Kind::SetListenPort, .interface = want.name, .number = want.listen_port});
        for (WireGuardChange& peer : fortros::difference(want.peers, have.wireguard.peers)) {
            OverlayChange change{
                .kind = Kind::ChangePeer, .interface = want.name, .peer = std::move(peer)};
            // What is routed to a peer that has gone is lost: its route goes first.
            const bool is_removal = change.peer.kind == WireGuardChange::Kind::Remove;
            (is_removal ? m_removals : m_changes).push_back(std::move(change));
        }
        if (!have.up) add({.kind = Kind::BringUp, .interface = want.name});
    }

    void add_addresses(const InterfacePlan& want, const InterfaceState& have) {
        for (const IpNetwork& address : want.addresses)
            if (!std::ranges::contains(have.addresses, address))
                add({.kind = Kind::AddAddress, .interface = want.name, .network = address});
    }

    // A gateway may have a route for each of many members: everything is looked up.
    void add_routes(const InterfacePlan& want, const InterfaceState& have) {
        std::map<RouteKey, const RouteState*> present;
        for (const RouteState& route : have.routes)
            present.try_emplace({route.destination, route.metric}, &route);
        for (const RoutePlan& route : want.routes) {
            const auto found = present.find({route.destination, route.metric});
            if (found != present.end()) {
                if (found->second->source == m_plan.address) continue;
                // The kernel takes a route that differs in its source only for the same one.
                add(route_change(Kind::RemoveRoute, want, *found->second));
            }
            add({.kind = Kind::AddRoute,
                 .interface = want.name,
                 .number = route.metric,
                 .network = route.destination});
        }
    }

    void remove_superfluous(const InterfacePlan& want, const InterfaceState& have) {
        std::set<RouteKey> wanted;
        for (const RoutePlan& route : want.routes) wanted.emplace(route.destination, route.metric);
        for (const RouteState& route : have.routes)
            if (is_ours(route.destination) && !wanted.contains({route.destination, route.metric}))
                add(route_change(Kind::RemoveRoute, want, route));
        for (const IpNetwork& address : have.addresses)
            if (is_ours(address) && !std::ranges::contains(want.addresses, address))
                add({.kind = Kind::RemoveAddress, .interface = want.name, .network = address});
    }

    static OverlayChange route_change(Kind kind, const InterfacePlan& interface,
                                      const RouteState& route) {
        return {.kind = kind,
                .interface = interface.name,
                .number = route.metric,
                .network = route.destination};
    }

    bool is_ours(const IpNetwork& network) const {
        return network.length >= m_plan.prefix.network().length &&
               m_plan.prefix.contains(network.address);
    }

    const OverlayPlan& m_plan;
    const PublicKey& m_node;
    const std::vector<InterfaceState>& m_have;
    std::vector<OverlayChange> m_changes;
    std::vector<OverlayChange> m_removals;  // of peers
};

}  // namespace

std::vector<OverlayChange> difference(const OverlayPlan& plan, const PublicKey& node,
                                      const std::vector<InterfaceState>& have) {
    return Difference(plan, node, have).changes();
}

// --- text ---------------------------------------------------------------------------------------

static std::string text_of(const WireGuardChange& change) {
    std::string text = change.kind == WireGuardChange::Kind::Add      ? "add peer "
                       : change.kind == WireGuardChange::Kind::Update ? "update peer "
                                                                      : "remove peer ";
    return text + change.peer.key.base64();
}

std::string OverlayChange::text() const {
    const std::string value = std::to_string(number);
    const std::string route = network.text() + " metric " + value;
    const auto what = [&]() -> std::string {
        switch (kind) {
            case Kind::CreateInterface: return "create, MTU " + value;
            case Kind::SetPrivateKey: return "set the node's key";
            case Kind::SetListenPort: return "set listen port " + value;
            case Kind::ChangePeer: return text_of(peer);
            case Kind::SetMtu: return "set MTU " + value;
            case Kind::BringUp: return "bring up";
            case Kind::AddAddress: return "add address " + network.text();
            case Kind::AddRoute: return "add route " + route;
            case Kind::RemoveRoute: return "remove route " + route;
            case Kind::RemoveAddress: return "remove address " + network.text();
            case Kind::RemoveInterface: return "remove";
        }
        return {};
    };
    return interface + ": " + what();
}

}  // namespace fortros
