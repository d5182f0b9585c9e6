#include <doctest/doctest.h>

#include "link_walk.h"

using namespace fortros::mesh;

static constexpr std::size_t a = 0;
static constexpr std::size_t b = 1;
static constexpr std::size_t c = 2;

// Every interleaving of the script; says how many states that were. (With one more loss, repetition
// and early retry than here five million states were walked, by hand, without a fault.)
static LinkWalk walked(const LinkScript& script) {
    LinkWalk walk(script);
    const bool is_well = walk.walk();
    CHECK_MESSAGE(is_well, walk.fault);
    CHECK(walk.ends > 0);
    MESSAGE(walk.states, " states walked, ", walk.ends, " of them at rest, at most ",
            walk.most_said, " datagrams");
    return walk;
}

// A lonely node would be cut off from the mesh by two others that each left it only one link.
TEST_CASE("two well-connected nodes that drop the same lonely node at once never cut it off") {
    for (const std::size_t anchors : {0, 1, 2, 3}) {
        CAPTURE(anchors);
        const auto walk =
            walked({.nodes = {{.anchors = 4, .links = {c}},
                              {.anchors = 4, .links = {c}},
                              {.anchors = anchors, .links = {a, b}}},
                    .threads = {{{LinkEvent::NoWish, a, c}, {LinkEvent::HoldOver, a, c}},
                                {{LinkEvent::NoWish, b, c}, {LinkEvent::HoldOver, b, c}}},
                    .losses = 2,
                    .repetitions = 1,
                    .impatience = 1});
        const std::size_t links = anchors + 2;
        CHECK(walk.fewest[c] == std::min(links, std::max(lifeline_links + 1, anchors)));
        CHECK(walk.most[c] == walk.fewest[c]);
    }
}

// The same, with each of three about to drop another.
TEST_CASE("three nodes that drop each other in a circle all keep their lifelines") {
    for (const std::size_t anchors : {2, 3}) {
        CAPTURE(anchors);
        const auto walk = walked({.nodes = {{.anchors = anchors, .links = {b, c}},
                                            {.anchors = anchors, .links = {a, c}},
                                            {.anchors = anchors, .links = {a, b}}},
                                  .threads = {{{LinkEvent::NoWish, a, b}},
                                              {{LinkEvent::NoWish, b, c}},
                                              {{LinkEvent::NoWish, c, a}}},
                                  .losses = 1,
                                  .repetitions = 1,
                                  .impatience = 1});
        for (const std::size_t node : {a, b, c}) CHECK(walk.fewest[node] >= lifeline_links);
    }
}

// What a node itself lets go does not serve as its lifeline when others ask in the same moment.
TEST_CASE("a node that wants to leave while others want to leave it keeps its lifeline") {
    for (const std::size_t anchors : {1, 2, 3}) {
        CAPTURE(anchors);
        const auto walk = walked({.nodes = {{.anchors = 4, .links = {c}},
                                            {.anchors = 4, .links = {c}},
                                            {.anchors = anchors, .links = {a, b}}},
                                  .threads = {{{LinkEvent::NoWish, a, c}},
                                              {{LinkEvent::NoWish, b, c}},
                                              {{LinkEvent::NoWish, c, a}, {LinkEvent::Wish, c, a}}},
                                  .losses = 1,
                                  .repetitions = 1,
                                  .impatience = 1});
        CHECK(walk.fewest[c] >= lifeline_links);
    }
}

// A link of value to one end would come and go with each plan of the other's.
TEST_CASE("a link that one end wishes to keep stays until it no longer does") {
    const auto walk = walked(
        {.nodes = {{.anchors = 4, .links = {b}}, {.anchors = 4, .links = {a}, .keeps = true}},
         .threads = {{{LinkEvent::NoWish, a, b}, {LinkEvent::HoldOver, a, b}},
                     {{LinkEvent::NoWish, b, a}, {LinkEvent::Wish, b, a}}},
         .losses = 2,
         .repetitions = 1,
         .impatience = 1});
    CHECK(walk.most[a] == 5);
}

// A link that both have had enough of would stay for ever, or at one end only.
TEST_CASE("both ends ask each other to leave at once, and it works out") {
    const auto walk = walked({.nodes = {{.anchors = 3, .links = {b}}, {.anchors = 3, .links = {a}}},
                              .threads = {{{LinkEvent::NoWish, a, b}}, {{LinkEvent::NoWish, b, a}}},
                              .losses = 3,
                              .repetitions = 2,
                              .impatience = 2});
    CHECK(walk.most[a] == 3);
    CHECK(walk.most[b] == 3);
}

// Two nodes that found each other in the same moment would refuse each other, or link twice.
TEST_CASE("wants that cross make one link, and a wish that is taken back leaves none half open") {
    SUBCASE("both wish") {
        const auto walk = walked({.nodes = {{}, {}},
                                  .threads = {{{LinkEvent::Wish, a, b}}, {{LinkEvent::Wish, b, a}}},
                                  .losses = 2,
                                  .repetitions = 1,
                                  .impatience = 1});
        CHECK(walk.fewest[a] == 1);
    }
    SUBCASE("one takes it back, and wishes again") {
        const auto walk = walked({.nodes = {{.anchors = 3}, {.anchors = 3}},
                                  .threads = {{{LinkEvent::Wish, a, b},
                                               {LinkEvent::NoWish, a, b},
                                               {LinkEvent::HoldOver, a, b},
                                               {LinkEvent::Wish, a, b}},
                                              {{LinkEvent::Wish, b, a}}},
                                  .losses = 1,
                                  .impatience = 1});
        CHECK(walk.most[a] == 4);
    }
    SUBCASE("both take it back") {
        const auto walk = walked({.nodes = {{.anchors = 3}, {.anchors = 3}},
                                  .threads = {{{LinkEvent::Wish, a, b}, {LinkEvent::NoWish, a, b}},
                                              {{LinkEvent::Wish, b, a}, {LinkEvent::NoWish, b, a}},
                                              {{LinkEvent::HoldOver, a, b}}},
                                  .losses = 1,
                                  .impatience = 1});
        CHECK(walk.fewest[a] == 3);
    }
}

// A full node would take in everybody, or leave somebody outside who has nobody else.
TEST_CASE("a full node refuses who has links enough and takes in who has few") {
    SUBCASE("refused") {
        const auto walk =
            walked({.nodes = {{.anchors = 4}, {.anchors = 4, .lonely_room = 1}},
                    .threads = {{{LinkEvent::Wish, a, b}, {LinkEvent::HoldOver, a, b}}},
                    .losses = 2,
                    .repetitions = 2,
                    .impatience = 2});
        CHECK(walk.most[a] == 4);
    }
    SUBCASE("taken in") {
        const auto walk =
            walked({.nodes = {{.anchors = lonely_links}, {.anchors = 4, .lonely_room = 1}},
                    .threads = {{{LinkEvent::Wish, a, b}}},
                    .losses = 2,
                    .repetitions = 2,
                    .impatience = 2});
        CHECK(walk.fewest[a] == lonely_links + 1);
    }
}

// After a crash, an upgrade, or a false alarm one end would hold a link for ever that the other
// knows nothing of, and count on it.
TEST_CASE("restarts and deaths of one end leave no link half open") {
    for (const auto fate : {LinkEvent::Forgets, LinkEvent::Restarts}) {
        for (const std::size_t node : {a, c}) {
            CAPTURE(int(fate));
            CAPTURE(node);
            walked({.nodes = {{.anchors = 4, .links = {c}},
                              {.anchors = 4, .links = {c}},
                              {.anchors = 2, .links = {a, b}}},
                    .threads = {{{LinkEvent::NoWish, a, c}},
                                {{LinkEvent::NoWish, b, c}},
                                {{fate, node}, {LinkEvent::Wish, node, c - node}}},
                    .losses = 1,
                    .impatience = 1});
        }
    }
    walked({.nodes = {{.anchors = 4, .links = {c}},
                      {.anchors = 4, .links = {c}},
                      {.anchors = 2, .links = {a, b}}},
            .threads = {{{LinkEvent::NoWish, a, c}},
                        {{LinkEvent::Dies, b, c}, {LinkEvent::HoldOver, b, c}},
                        {{LinkEvent::Dies, c, a}}},
            .losses = 1,
            .repetitions = 1});
}
