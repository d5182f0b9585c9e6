#include "gateway/operating_lane.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

using namespace fortros;
using namespace fortros::gateway;

namespace {

struct World {
    std::unique_ptr<Loop> loop = std::move(Loop::create().value());
    std::vector<OperatingLane::Told> asked;  // whoever decides
    std::int64_t accepted = 1;
    std::vector<Answer> answers;
    OperatingLane lane{
        {.loop = *loop,
         .ask = [this](OperatingLane::Told told) { asked.push_back(std::move(told)); },
         .connections = [this] { return ConnectionNumbers{.accepted = accepted}; },
         .silence = [] { return Duration{3s}; }},
        {.checks = {{"registry"}, {"tunnels"}}}};

    void ask(std::string target) {
        lane.handle({.method = "GET", .target = std::move(target)}, [this](Answer answer) {
            answers.push_back(std::move(answer));
            loop->stop();
        });
    }
};

}  // namespace

// A supervisor would start a gateway anew for the fault of its registry.
TEST_CASE("operating lane: whether it lives is said without asking anybody") {
    World world;
    world.ask("/healthz");
    REQUIRE(world.answers.size() == 1);
    CHECK(world.answers[0].status == 200);
    CHECK(world.asked.empty());
}

// An operator would be told of yesterday.
TEST_CASE(
    "operating lane: how things are is what whoever decides says, and numbers of when it was "
    "asked") {
    World world;
    world.ask("/metrics");
    world.accepted = 7;
    REQUIRE(world.asked.size() == 1);
    CHECK(world.answers.empty());
    world.asked[0]({.write_queue = 5});
    REQUIRE(world.answers.size() == 1);
    CHECK(world.answers[0].body.contains("fortros_gateway_write_queue_length 5\n"));
    CHECK(world.answers[0].body.contains("fortros_gateway_connections_accepted_total 1\n"));
}

// Operators who ask often, while whoever decides is held up, would give him nothing else to do for long after.
TEST_CASE("operating lane: whoever decides has one question at a time, whose answer is for all") {
    World world;
    for (int i = 0; i < 10; ++i) world.ask("/readyz");
    REQUIRE(world.asked.size() == 1);
    world.asked[0]({.checks = {{"registry", "on fire"}}});
    REQUIRE(world.answers.size() == 10);
    for (const auto& answer : world.answers) CHECK(answer.body == "registry: on fire\n");
    world.ask("/readyz");
    CHECK(world.asked.size() == 2);
}

// Those whose connections were closed for others would be remembered, as many as come in a second.
TEST_CASE("operating lane: of too many who wait the oldest is told what is known") {
    World world;
    for (int i = 0; i < 16; ++i) world.ask("/readyz");
    CHECK(world.answers.empty());
    world.ask("/readyz");
    REQUIRE(world.answers.size() == 1);
    CHECK(world.answers[0].status == 503);
    world.asked[0]({.checks = {{"registry"}}});
    CHECK(world.answers.size() == 17);
}

// Just when the registry hangs, nobody could see what hangs.
TEST_CASE("operating lane: who does not answer is told of, with what he said last") {
    World world;
    world.ask("/readyz");
    world.asked[0]({.checks = {{"registry"}, {"tunnels", "no such interface"}}});
    CHECK(world.answers.at(0).body == "registry: ok\ntunnels: no such interface\n");

    world.ask("/readyz");
    REQUIRE(world.loop->run());  // until patience is over
    REQUIRE(world.answers.size() == 2);
    CHECK(world.answers[1].status == 503);
    CHECK(world.answers[1].body.starts_with("registry: the gateway is waiting"));
    CHECK(world.answers[1].body.contains("3.0 s\ntunnels: no such interface\n"));

    // Late: nobody is answered twice.
    world.asked[1]({.checks = {{"registry"}}});
    CHECK(world.answers.size() == 2);
}
