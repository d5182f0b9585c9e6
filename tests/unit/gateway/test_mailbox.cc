#include "gateway/mailbox.h"

#include <doctest/doctest.h>

#include <thread>
#include <vector>

using namespace fortros;
using namespace fortros::gateway;

namespace {

struct World {
    std::unique_ptr<Loop> loop = std::move(Loop::create().value());
    std::unique_ptr<Mailbox> box =
        std::move(Mailbox::create(*loop, Loop::Order::AsTheyCome).value());
    std::vector<int> done;

    void put(int what) {
        box->put([this, what] { done.push_back(what); });
    }
    void put_end() {
        box->put([this] { loop->stop(); });
    }
};

// What keeps the loop from all else.
void last(Duration time) {
    const Instant end = monotonic_now() + time;
    while (monotonic_now() < end) {
    }
}

std::vector<int> up_to(int count) {
    std::vector<int> numbers;
    for (int i = 0; i < count; ++i) numbers.push_back(i);
    return numbers;
}

}  // namespace

// An answer would overtake another, or never arrive.
TEST_CASE("mailbox: what another thread puts in is done in the loop, all of it and in order") {
    World world;
    constexpr int many = 1000;
    std::thread other([&] {
        for (int i = 0; i < many; ++i) world.put(i);
        world.put_end();
    });
    REQUIRE(world.loop->run());
    other.join();
    CHECK(world.done == up_to(many));
    CHECK(world.box->size() == 0);
}

// What is put in while the loop is at the last piece would wait for the next one.
TEST_CASE("mailbox: work may put in more") {
    World world;
    world.box->put([&] {
        world.put(0);
        world.box->put([&] {
            world.put(1);
            world.put_end();
        });
    });
    CHECK(world.box->size() == 1);
    REQUIRE(world.loop->run());
    CHECK(world.done == up_to(2));
}

// A full box would keep the loop from its other callers for as long as it lasts.
TEST_CASE("mailbox: others of the loop have their turn in between") {
    World world;
    for (int i = 0; i < 100; ++i) world.put(i);
    std::size_t before = 0;
    const auto timer = world.loop->after({}, [&] {
        before = world.done.size();
        world.loop->stop();
    });
    REQUIRE(world.loop->run());
    CHECK(before < 100);
}

// Sixteen pieces that wait for a cluster in vain, and a watchdog would find the gateway dead.
TEST_CASE("mailbox: after a piece that lasts others have their turn at once") {
    World world;
    std::size_t before = 0;
    Loop::Timer timer;
    world.box->put([&] {
        timer = world.loop->after({}, [&] {
            before = world.done.size();
            world.loop->stop();
        });
        last(30ms);
        world.done.push_back(0);
    });
    for (int i = 1; i < 4; ++i) world.put(i);
    REQUIRE(world.loop->run());
    CHECK(before == 1);
}

// A gateway that is told to end would first do all that has piled up, each for seconds.
TEST_CASE("mailbox: the loop can be stopped before the next piece of work") {
    World world;
    for (int i = 0; i < 10; ++i) world.put(i);
    world.box->put([&] { world.box->stop_loop(); });
    for (int i = 10; i < 20; ++i) world.put(i);
    world.put_end();
    REQUIRE(world.loop->run());
    CHECK(world.done == up_to(10));
}
