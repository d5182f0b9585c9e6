// Between the mesh and the kernel, in both directions: what the kernel has, in the mesh's words, and what
// the mesh wants, as a plan for the kernel. Pure; it performs nothing and decides nothing.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <vector>

#include "base/time.h"
#include "core/link_state.h"
#include "core/overlay_plan.h"
#include "core/overlay_state.h"
#include "maintainer/messenger_ways.h"
#include "mesh/mesh.h"

namespace fortros {

// What the mesh does not decide.
struct OverlaySelf {
    IpAddress address;
    OrgPrefix prefix;
    std::uint32_t mtu = 1420;
    std::uint16_t listen_port = 0;  // of fortros0; 0: the kernel's choice
    PublicKey key{};
    std::set<PublicKey> lighthouses{};  // of a lighthouse: the others, gateways not among them
};

OverlayPlan plan_of(const mesh::WantedOverlay& wanted, const OverlaySelf& self);

// Two lighthouses reach each other on a port of their own: at the port that everybody else comes to
// listens the interface of the members, which does not know them. The same for both ends, from 49152 on.
std::uint16_t port_between(const PublicKey& a, const PublicKey& b);
// What the mesh of a lighthouse wants, with the ports by which it reaches the others.
mesh::WantedOverlay among_lighthouses(mesh::WantedOverlay wanted, const OverlaySelf& self);

// Endpoints that the mesh has changed its mind about since it was asked last. The kernel's own, which it
// learns from packets, are left alone by the plan's difference; these are news. `told`: what was set last,
// by key, and is brought up to date.
struct EndpointChange {
    std::string interface;
    WireGuardChange change;
};
std::vector<EndpointChange> endpoint_changes(const mesh::WantedOverlay& wanted,
                                             const std::vector<InterfaceState>& have,
                                             std::map<PublicKey, Endpoint>& told);

// `now`: the wall clock, by which the kernel says when a handshake was.
mesh::Observation observation_of(const std::vector<InterfaceState>& have, WallTime now);
// The peers of fortros0, for a maintainer that begins anew.
std::vector<mesh::WantedPeer> peers_in_force(const std::vector<InterfaceState>& have,
                                             const OrgPrefix& prefix);
// Its lighthouses, the preferred first.
std::vector<PublicKey> lighthouses_in_force(const std::vector<InterfaceState>& have,
                                            const OrgPrefix& prefix);
MessengerWays ways_of(const std::vector<InterfaceState>& have, const mesh::WantedOverlay& wanted);

// This host's addresses outside of the overlay that others could reach it at, the likeliest first.
std::vector<IpAddress> underlay_of(const std::vector<LinkState>& links, const OrgPrefix& prefix);

}  // namespace fortros
