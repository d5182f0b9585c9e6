#include "meshsim/wireguard.h"

#include <doctest/doctest.h>

#include "small_internet.h"

using namespace fortros;
using namespace fortros::meshsim;
using mesh::Nat;

namespace {

// Node 2 is a stranger with a public address, by whom each knows where the other is.
bool meet(Nat one, Nat other) {
    SmallInternet net(sites_of_one({one, other, Nat::None}));
    net.configure(0, 1, 2);
    net.configure(1, 0, 2);
    net.talk(0, 1, 30s);
    return net.send(0, 1) && net.send(1, 0);
}

}  // namespace

// The mesh would be judged in an internet where everybody reaches everybody, or nobody anybody.
TEST_CASE("of two nodes behind NATs only those meet whose NATs leave a way") {
    struct Pair {
        Nat one, other;
        bool meets;
    };
    for (const Pair& pair :
         {Pair{Nat::None, Nat::None, true}, Pair{Nat::None, Nat::Cone, true},
          Pair{Nat::None, Nat::Symmetric, true}, Pair{Nat::Cone, Nat::Cone, true},
          Pair{Nat::Cone, Nat::Symmetric, false}, Pair{Nat::Symmetric, Nat::Symmetric, false}}) {
        CAPTURE(mesh::name_of(pair.one));
        CAPTURE(mesh::name_of(pair.other));
        CHECK(meet(pair.one, pair.other) == pair.meets);
        CHECK(meet(pair.other, pair.one) == pair.meets);
    }
}

// A link that only one end has agreed to would count as one.
TEST_CASE("a handshake needs both ends to have each other") {
    SmallInternet net(sites_of_one({Nat::None, Nat::None}));
    net.configure(0, 1, 0);
    net.talk(0, 1, 30s);
    CHECK_FALSE(net.send(0, 1));
    CHECK_FALSE(net.wireguard.would_carry(0, 1, net.now));
    net.configure(1, 0, 1);
    net.talk(0, 1, 30s);
    CHECK(net.send(0, 1));
    CHECK(net.send(1, 0));
}

// A link that sleeps would be counted on by those who can't wake it.
TEST_CASE("a NAT closes behind a node that is silent, and only that node opens it again") {
    SmallInternet net(sites_of_one({Nat::None, Nat::Cone, Nat::None}));
    net.configure(0, 1, 2);
    net.configure(1, 0, 2);
    net.talk(0, 1, 10s);
    REQUIRE(net.send(0, 1));
    net.run(nat_timeout + 1s);
    CHECK_FALSE(net.send(0, 1));
    CHECK(net.send(1, 0));
    CHECK(net.send(0, 1));
}

// Promises would be held against worlds in which a cut takes one direction with the other.
TEST_CASE("a way that is blocked carries nothing that way, and all the other") {
    SmallInternet net(sites_of_one({Nat::None, Nat::None}));
    net.configure(0, 1, 0);
    net.configure(1, 0, 1);
    net.talk(0, 1, 10s);
    net.underlay.block(0, 1);
    CHECK_FALSE(net.send(0, 1));
    CHECK(net.send(1, 0));
    net.underlay.unblock(0, 1);
    CHECK(net.send(0, 1));
}
