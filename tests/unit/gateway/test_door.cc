#include "gateway/door.h"

#include <doctest/doctest.h>

#include <vector>

using namespace fortros;
using namespace fortros::gateway;

namespace {

IpAddress address(std::string_view text) { return IpAddress::parse(text).value(); }

const IpAddress office = address("192.0.2.1");
const IpAddress home = address("198.51.100.7");

struct Street {
    Door door;
    Instant now{};
    Door::Id last = 0;

    explicit Street(const DoorLimits& limits = {}) : door(limits) {}

    std::optional<Door::Id> enter(Door::Id id, const IpAddress& from) {
        return door.enter(id, from, now);
    }
    // One that comes and says something at once.
    Door::Id arrive(const IpAddress& from) {
        CHECK(enter(++last, from) == std::nullopt);
        door.knock(last, now);
        return last;
    }
    std::optional<Door::Id> next() { return door.next(now); }
    std::optional<Instant> next_at() const { return door.next_at(now); }
    void leave(Door::Id id) { door.leave(id, now); }
    // Whoever is let in asks at once.
    std::vector<Door::Id> let_in_all() {
        std::vector<Door::Id> order;
        while (const auto id = next()) {
            order.push_back(*id);
            door.settle(*id);
        }
        return order;
    }
    // One that is let in and goes without having asked for anything.
    void cost_a_handshake(const IpAddress& from) {
        const auto id = arrive(from);
        CHECK(next() == id);
        leave(id);
    }
};

}  // namespace

// 50 nodes elsewhere would wait for 300 of one office.
TEST_CASE("door: the sources take turns, each with its oldest first") {
    Street street;
    for (int i = 0; i < 3; ++i) street.arrive(office);  // 1 2 3
    street.arrive(home);                                // 4
    street.arrive(address("2001:db8::1"));              // 5
    street.arrive(address("2001:db8::ffff:2"));         // 6, of the same /64
    street.arrive(address("2001:db8:0:1::1"));          // 7
    CHECK(street.let_in_all() == std::vector<Door::Id>{1, 4, 5, 7, 2, 6, 3});
    CHECK(street.door.waiting() == 0);
    CHECK(street.door.size() == 7);
}

// A client that says nothing would take another one's turn.
TEST_CASE("door: who has said nothing is not let in") {
    Street street;
    CHECK(!street.enter(100, office));
    CHECK(street.next() == std::nullopt);
    street.door.knock(100, street.now);
    CHECK(street.next() == 100);
    // What it says later is no second knock.
    street.door.knock(100, street.now);
    CHECK(street.next() == std::nullopt);
}

// A machine that holds thousands of connections open would keep everybody out.
TEST_CASE("door: when it is full the oldest silent one of whoever has most of them goes") {
    Street street({.places = 4});
    const auto inside = street.arrive(home);
    CHECK(street.next() == inside);
    CHECK(!street.enter(11, home));
    CHECK(!street.enter(12, office));
    CHECK(!street.enter(13, office));
    CHECK(street.enter(14, address("203.0.113.9")) == 12);
    CHECK(street.door.size() == 4);
    // Ties go by address; what matters is that somebody goes, and that nobody who speaks does.
    CHECK(street.enter(15, office).has_value());
    CHECK(street.door.size() == 4);
    for (const Door::Id id : {11, 13, 14, 15}) street.door.knock(id, street.now);
    CHECK(street.enter(16, office) == 16);
    CHECK(street.door.size() == 4);
}

TEST_CASE("door: one source has a part of the places at most") {
    Street street({.places = 10, .places_of_a_source = 2});
    CHECK(!street.enter(1, office));
    CHECK(!street.enter(2, office));
    CHECK(street.enter(3, office) == 3);
    CHECK(!street.enter(4, home));
    street.leave(1);
    CHECK(!street.enter(5, office));
}

// Ten thousand handshakes that are begun together end when all ten thousand clients have gone.
TEST_CASE("door: only so many shake hands at once") {
    Street street({.shaking = 2});
    for (int i = 0; i < 6; ++i) street.arrive(office);
    CHECK(street.next() == 1);
    CHECK(street.next() == 2);
    CHECK(street.next() == std::nullopt);
    CHECK(street.door.shaking() == 2);
    street.door.settle(2);
    CHECK(street.next() == 3);
    CHECK(street.next() == std::nullopt);
    street.leave(1);
    CHECK(street.next() == 4);
    street.door.settle(100);
    street.door.shaken(100, street.now);
    CHECK(street.next() == std::nullopt);
}

// Clients that shake hands and then ask for nothing, or a byte a second, would keep everybody else
// out: there is nothing to do for them.
TEST_CASE("door: a handshake that is done makes room, whatever comes after it") {
    Street street({.shaking = 2});
    for (int i = 0; i < 5; ++i) street.arrive(office);
    CHECK(street.next() == 1);
    CHECK(street.next() == 2);
    street.door.shaken(1, street.now);
    CHECK(street.next() == 3);
    street.door.shaken(2, street.now);
    street.door.shaken(2, street.now);
    street.door.shaken(3, street.now);
    CHECK(street.door.shaking() == 0);
    CHECK(street.next() == 4);
    street.door.shaken(5, street.now);  // it has not begun
    CHECK(street.next() == 5);
    CHECK(street.door.shaking() == 2);
    street.door.settle(1);
    street.leave(2);
    CHECK(street.door.shaking() == 2);
    CHECK(street.door.size() == 4);
}

// Clients that begin and then say nothing would keep everybody else out.
TEST_CASE("door: who is silent in the middle of a handshake is not waited for") {
    Street street({.shaking = 2, .quick = 200ms});
    for (int i = 0; i < 6; ++i) street.arrive(office);
    CHECK(street.next() == 1);
    street.now += 50ms;
    CHECK(street.next() == 2);
    CHECK(street.next() == std::nullopt);
    CHECK(street.next_at() == street.now + 150ms);
    street.now += 150ms;
    CHECK(street.next_at() == street.now);
    CHECK(street.next() == 3);  // 1 is late
    CHECK(street.next() == std::nullopt);
    CHECK(street.next_at() == street.now + 50ms);
    // A late one is served all the same when it speaks, and makes no room a second time.
    street.door.shaken(1, street.now);
    street.door.settle(1);
    CHECK(street.door.shaking() == 2);
    CHECK(street.next() == std::nullopt);
    street.now += 50ms;
    CHECK(street.next() == 4);
    street.leave(2);
    CHECK(street.next() == std::nullopt);
    CHECK(street.door.size() == 5);
}

// Thousands that come again and again for nothing would cost others a good part of each second.
TEST_CASE(
    "door: whose handshakes were for nothing comes after the others, and has his turns still") {
    Street street({.turns_for_one_that_owes = 3});
    street.cost_a_handshake(office);                    // 1
    for (int i = 0; i < 3; ++i) street.arrive(office);  // 2 3 4
    for (int i = 0; i < 5; ++i) street.arrive(home);    // 5 6 7 8 9
    std::vector<Door::Id> order;
    while (const auto id = street.next()) order.push_back(*id);
    CHECK(order == std::vector<Door::Id>{5, 6, 2, 7, 8, 3, 9, 4});
}

// An office would come last for a minute because one of its machines is broken.
TEST_CASE("door: whoever is served makes up for one of his source that was not") {
    Street street;
    street.cost_a_handshake(office);                    // 1
    for (int i = 0; i < 3; ++i) street.arrive(office);  // 2 3 4
    CHECK(street.next() == 2);
    for (int i = 0; i < 3; ++i) street.arrive(home);  // 5 6 7
    CHECK(street.next() == 5);
    street.door.settle(2);
    CHECK(street.let_in_all() == std::vector<Door::Id>{6, 3, 7, 4});
}

// Clients that shake hands and dawdle would have as many turns as those that don't, until they are
// thrown out for the first time.
TEST_CASE("door: a source owes for those that are late while they are there") {
    Street street({.quick = 200ms, .prompt = 50ms});
    for (int i = 0; i < 4; ++i) street.arrive(office);
    CHECK(street.next() == 1);
    CHECK(street.next() == 2);
    street.now += 150ms;
    street.door.shaken(2, street.now);
    street.now += 49ms;
    CHECK(street.arrive(home) == 5);
    street.now += 1ms;
    CHECK(street.next() == 5);
    CHECK(street.arrive(home) == 6);
    CHECK(street.next() == 6);
    // It owes for both, and not once more when they go.
    street.leave(1);
    street.leave(2);
    CHECK(street.next() == 3);
    street.door.settle(3);
    CHECK(street.arrive(home) == 7);
    CHECK(street.next() == 7);
    CHECK(street.next() == 4);
    street.door.settle(4);
    street.arrive(office);  // 8
    street.arrive(home);    // 9
    CHECK(street.let_in_all() == std::vector<Door::Id>{8, 9});
}

// The same, where all of them shake hands as quickly as anybody.
TEST_CASE("door: a source owes for one that has shaken hands and asks for nothing") {
    Street street({.prompt = 50ms});
    CHECK(street.arrive(office) == 1);
    CHECK(street.next() == 1);
    street.door.shaken(1, street.now);
    CHECK(street.arrive(office) == 2);
    street.now += 50ms;
    CHECK(street.arrive(home) == 3);
    CHECK(street.next() == 3);
}

// An address that has changed hands, or a machine that was mended, would come last for ever; and a
// source could do so by going away for a moment.
TEST_CASE("door: what a source owes is forgiven after a while, and not forgotten before") {
    Street street({.forgiveness = 60s});
    street.cost_a_handshake(office);  // 1
    CHECK(street.door.size() == 0);
    street.now += 59s;
    const auto owes = street.arrive(office);
    const auto does_not = street.arrive(home);
    CHECK(street.next() == does_not);
    CHECK(street.next() == owes);
    street.door.settle(does_not);
    street.leave(owes);
    street.now += 60s;
    const auto forgiven = street.arrive(office);
    const auto other = street.arrive(home);
    CHECK(street.let_in_all() == std::vector<Door::Id>{forgiven, other});
}

// A flood from ever other addresses would fill the memory.
TEST_CASE("door: only so many sources are remembered, those that went last") {
    Street street({.remembered = 2});
    const IpAddress third = address("203.0.113.9");
    street.cost_a_handshake(office);
    street.cost_a_handshake(third);
    street.cost_a_handshake(home);
    const auto last = street.arrive(home);
    const auto second = street.arrive(third);
    const auto forgotten = street.arrive(office);
    CHECK(street.let_in_all() == std::vector<Door::Id>{forgotten, last, second});
}

TEST_CASE("door: whoever leaves leaves nothing behind") {
    Street street;
    CHECK(!street.enter(100, office));
    const auto waiting = street.arrive(office);
    const auto inside = street.arrive(home);
    CHECK(street.next() == waiting);
    street.leave(100);
    street.leave(waiting);
    street.leave(inside);
    street.leave(inside);
    CHECK(street.door.size() == 0);
    CHECK(street.door.waiting() == 0);
    CHECK(street.door.shaking() == 0);
    CHECK(street.next() == std::nullopt);
    const auto next = street.arrive(home);
    CHECK(street.next() == next);
}
