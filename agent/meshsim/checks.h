// What must be true of a world at rest: the promises of the mesh, each as a list of who breaks it. They
// look at what packets would do, and ask no Mesh what it believes.
#pragma once

#include <string>
#include <vector>

#include "meshsim/simulation.h"

namespace fortros::meshsim {

// Both ends of every link have each other configured.
std::vector<std::string> check_agreement(const Simulation& simulation);
// Every live node reaches every other that the underlay connects it to, wherever a lighthouse lives there:
// by its routes, or by a lighthouse once traffic has shown that the direct path carries nothing (a link of
// a metered node may sleep behind its NAT). Where none lives: every direct peer, but those that may sleep.
// Of large worlds a sample.
std::vector<std::string> check_paths(const Simulation& simulation);
// Whoever has traffic has answers, by both ends' own routes.
std::vector<std::string> check_flows(const Simulation& simulation);
// Nobody is left with lighthouses only who could have a link: somebody is there who has room, whose NAT
// and whose own agree, and who is not metered.
std::vector<std::string> check_candidates(const Simulation& simulation);
// Whoever was revoked is nobody's peer.
std::vector<std::string> check_revoked(const Simulation& simulation);

// All of them.
std::vector<std::string> check_all(const Simulation& simulation);

// Whether two nodes' NATs let them meet, if both try.
bool may_meet(const World& world, NodeId a, NodeId b);

}  // namespace fortros::meshsim
