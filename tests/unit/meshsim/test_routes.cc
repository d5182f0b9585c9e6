#include "meshsim/routes.h"

#include <doctest/doctest.h>

#include "small_internet.h"

using namespace fortros;
using namespace fortros::meshsim;
using mesh::Nat;

// What a route leads to would be taken for what arrives, and black holes would be none.
TEST_CASE("a route to a peer that has not this one loses all, and by the lighthouse it arrives") {
    SmallInternet net(sites_of_one({Nat::None, Nat::None, Nat::None}, 2));
    for (const NodeId node : {0U, 1U}) {
        net.configure_lighthouse(node, 2);
        net.talk(node, 2, 10s);
    }
    CHECK(net.routes.next_hop(0, 1) == 2);
    CHECK(net.routes.answered(0, 1, net.now));

    net.configure(0, 1, 0);
    CHECK(net.routes.next_hop(0, 1) == 1);
    CHECK_FALSE(net.routes.arrives(0, 1, net.now));
    CHECK(net.routes.arrives(1, 0, net.now));
    CHECK_FALSE(net.routes.answered(1, 0, net.now));
    CHECK(net.routes.reachable_by_tunnels(0, 1, net.now));

    net.configure(1, 0, 1);
    net.talk(0, 1, 10s);
    CHECK(net.routes.answered(0, 1, net.now));
}

// A packet that circles between lighthouses would arrive in the simulator and nowhere else.
TEST_CASE("a lighthouse sends on to members that it has, and to no other lighthouse") {
    SmallInternet net(sites_of_one({Nat::None, Nat::None, Nat::None}, 2));
    net.configure_lighthouse(0, 2);
    net.talk(0, 2, 10s);
    CHECK(net.routes.next_hop(2, 1) == no_node);
    CHECK_FALSE(net.routes.arrives(0, 1, net.now));
}
