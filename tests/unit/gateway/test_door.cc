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

    // One that comes and says something at once.
    Door::Id arrive(const IpAddress& from) {
        CHECK(door.enter(++last, from) == std::nullopt);
        door.knock(last);
        return last;
    }
    // Whoever is let in asks at once.
    std::vector<Door::Id> let_in_all() {
        std::vector<Door::Id> order;
        while (const auto id = door.next(now)) {
            order.push_back(*id);
            door.settle(*id);
        }
        return order;
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
    CHECK(!street.door.enter(100, office));
    CHECK(street.door.next(street.now) == std::nullopt);
    street.door.knock(100);
    CHECK(street.door.next(street.now) == 100);
    // What it says later is no second knock.
    street.door.knock(100);
    CHECK(street.door.next(street.now) == std::nullopt);
}

// A machine that holds thousands of connections open would keep everybody out.
TEST_CASE("door: when it is full the oldest silent one of whoever has most of them goes") {
    Street street({.places = 4});
    const auto inside = street.arrive(home);
    CHECK(street.door.next(street.now) == inside);
    CHECK(!street.door.enter(11, home));
    CHECK(!street.door.enter(12, office));
    CHECK(!street.door.enter(13, office));
    CHECK(street.door.enter(14, address("203.0.113.9")) == 12);
    CHECK(street.door.size() == 4);
    // Ties go by address; what matters is that somebody goes, and that nobody who speaks does.
    CHECK(street.door.enter(15, office).has_value());
    CHECK(street.door.size() == 4);
    for (const Door::Id id : {11, 13, 14, 15}) street.door.knock(id);
    CHECK(street.door.enter(16, office) == 16);
    CHECK(street.door.size() == 4);
}

TEST_CASE("door: one source has a part of the places at most") {
    Street street({.places = 10, .places_of_a_source = 2});
    CHECK(!street.door.enter(1, office));
    CHECK(!street.door.enter(2, office));
    CHECK(street.door.enter(3, office) == 3);
    CHECK(!street.door.enter(4, home));
    street.door.leave(1);
    CHECK(!street.door.enter(5, office));
}

// Ten thousand handshakes that are begun together end when all ten thousand clients have gone.
TEST_CASE("door: only so many begin at once") {
    Street street({.begun = 2});
    for (int i = 0; i < 5; ++i) street.arrive(office);
    CHECK(street.door.next(street.now) == 1);
    CHECK(street.door.next(street.now) == 2);
    CHECK(street.door.next(street.now) == std::nullopt);
    CHECK(street.door.begun() == 2);
    street.door.settle(2);
    CHECK(street.door.next(street.now) == 3);
    CHECK(street.door.next(street.now) == std::nullopt);
    street.door.leave(1);
    CHECK(street.door.next(street.now) == 4);
    street.door.settle(100);
    CHECK(street.door.next(street.now) == std::nullopt);
}

// Clients that begin and then say nothing would keep everybody else out.
TEST_CASE("door: who is silent in the middle is not waited for") {
    Street street({.begun = 2, .quick = 200ms, .late = 1, .lateness = 1s});
    for (int i = 0; i < 6; ++i) street.arrive(office);
    CHECK(street.door.next(street.now) == 1);
    street.now += 50ms;
    CHECK(street.door.next(street.now) == 2);
    CHECK(street.door.next_at(street.now) == street.now + 150ms);
    street.now += 150ms;
    CHECK(street.door.next(street.now) == 3);  // 1 is late
    CHECK(street.door.begun() == 3);
    CHECK(street.door.next(street.now) == std::nullopt);
    // 2 would be late in 50 ms, but only one may be: when 1 no longer counts.
    CHECK(street.door.next_at(street.now) == street.now + 800ms);
    street.now += 800ms;
    CHECK(street.door.next(street.now) == 4);
    CHECK(street.door.begun() == 3);
    // A late one is served all the same when it speaks, and makes room.
    street.door.settle(2);
    CHECK(street.door.begun() == 2);
    CHECK(street.door.next(street.now) == 5);
    street.door.leave(4);
    CHECK(street.door.next(street.now) == 6);
    CHECK(street.door.size() == 5);
}

TEST_CASE("door: whoever leaves leaves nothing behind") {
    Street street;
    CHECK(!street.door.enter(100, office));
    const auto waiting = street.arrive(office);
    const auto inside = street.arrive(home);
    CHECK(street.door.next(street.now) == waiting);
    street.door.leave(100);
    street.door.leave(waiting);
    street.door.leave(inside);
    street.door.leave(inside);
    CHECK(street.door.size() == 0);
    CHECK(street.door.waiting() == 0);
    CHECK(street.door.next(street.now) == std::nullopt);
    const auto next = street.arrive(home);
    CHECK(street.door.next(street.now) == next);
}
