#include "maintainer/gateway_rota.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

using namespace fortros;

namespace {

Endpoint at(int host) { return *Endpoint::parse("192.0.2." + std::to_string(host) + ":443"); }

struct Rota {
    SeededRandom random{3};
    GatewayRota rota{random};
    Instant now = Instant{} + 1h;

    explicit Rota(int count) {
        std::vector<Endpoint> all;
        for (int i = 1; i <= count; ++i) all.push_back(at(i));
        rota.learn(all);
    }
    // Asks in vain for a while; whom, and when.
    std::vector<GatewayRota::Turn> ask_in_vain(Duration time) {
        std::vector<GatewayRota::Turn> turns;
        for (const Instant end = now + time;;) {
            const auto turn = rota.next(now);
            if (turn->at > end) return turns;
            now = turn->at;
            turns.push_back(*turn);
            rota.failed(turn->endpoint, {}, now);
        }
    }
};

}  // namespace

// The node would be unheard although another gateway could serve it.
TEST_CASE("rota: when one does not answer the next is asked at once") {
    Rota r(3);
    CHECK(r.rota.next(r.now)->endpoint == at(1));
    r.rota.failed(at(1), {}, r.now);
    CHECK(r.rota.next(r.now)->endpoint == at(2));
    CHECK(r.rota.next(r.now)->at == r.now);
}

TEST_CASE("rota: who answers is asked again, whatever stands before it") {
    Rota r(3);
    r.rota.answered(at(3));
    CHECK(r.rota.next(r.now)->endpoint == at(3));
}

// Dead gateways would be hammered by every node of the org for days.
TEST_CASE("rota: pauses grow, to a bound, and are half chance") {
    Rota r(1);
    const auto turns = r.ask_in_vain(2h);
    std::set<Duration> pauses;
    for (std::size_t i = 1; i < turns.size(); ++i) {
        const Duration pause = turns[i].at - turns[i - 1].at;
        CHECK(pause >= rota_pause_min / 2);
        CHECK(pause <= rota_pause_max);
        pauses.insert(pause);
    }
    CHECK(turns.size() < 60);
    CHECK(turns.size() > 24);
    CHECK(pauses.size() + 1 == turns.size());
}

// After a power cut a gateway tells each node when to come; who comes earlier makes it fall again.
TEST_CASE("rota: who asks for patience gets it, and a little more") {
    Rota r(2);
    r.rota.failed(at(1), 60s, r.now);
    r.rota.failed(at(2), 30s, r.now);
    const auto turn = r.rota.next(r.now);
    CHECK(turn->endpoint == at(2));
    CHECK(turn->at >= r.now + 30s);
    CHECK(turn->at <= r.now + 36s);
    // A new address does not make it any less busy.
    r.rota.start_over(r.now);
    CHECK(r.rota.next(r.now)->at >= r.now + 30s);
}

// A laptop that comes back to a network would be unheard for minutes.
TEST_CASE("rota: when the underlay has changed all are tried again soon") {
    Rota r(2);
    r.ask_in_vain(1h);
    r.rota.start_over(r.now);
    CHECK(r.rota.next(r.now)->at <= r.now + rota_pause_min);
}

TEST_CASE("rota: it is bounded, and forgets those that never answered") {
    Rota r(1);
    r.rota.answered(at(1));
    std::vector<Endpoint> many;
    for (std::uint16_t port = 1; port <= 2 * rota_limit; ++port)
        many.push_back({at(9).address, port});
    r.rota.learn(many);
    const auto endpoints = r.rota.endpoints();
    CHECK(endpoints.size() == rota_limit);
    CHECK(std::ranges::contains(endpoints, at(1)));
    CHECK(std::ranges::contains(endpoints, many.back()));
    r.rota.learn({many.back()});
    CHECK(r.rota.endpoints().size() == rota_limit);
}

TEST_CASE("rota: without anybody there is nobody to ask") { CHECK(!Rota(0).rota.next({})); }
