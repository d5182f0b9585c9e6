#include "mesh/path.h"

#include <doctest/doctest.h>

#include <deque>
#include <vector>

using namespace fortros;
using namespace fortros::mesh;

static constexpr Duration tick = 100ms;
static constexpr std::uint64_t packet_bytes = 96;

namespace {

// A tunnel between two watches in virtual time. Each end counts what the kernel would count, once a
// second, and answers the other's probes on the path by which they come.
using Answer = PathWatch::Answer;

struct Tunnel {
    struct End {
        PathWatch watch{Instant{}, PathState::Alive};
        std::uint64_t tx = 0;
        std::uint64_t rx = 0;
        unsigned probes = 0;
        std::vector<std::pair<Duration, PathState>> changes{};
    };
    struct Packet {
        Instant arrives;
        std::size_t to;
        std::uint64_t bytes;
        std::optional<std::uint64_t> probe{};
        std::optional<std::uint64_t> echo{};
    };

    SeededRandom random{1};
    End ends[2];
    bool carries[2] = {true, true};  // from this end to the other
    double loss = 0;
    Duration delay = 50ms;
    bool tells = true;  // a dead end tells the other, by another way
    std::deque<Packet> wire{};
    Instant now{};

    void send(std::size_t from, std::uint64_t bytes, std::optional<std::uint64_t> probe = {},
              std::optional<std::uint64_t> echo = {}) {
        ends[from].tx += bytes;
        if (!carries[from] || random.unit() < loss) return;
        wire.push_back({now + delay, 1 - from, bytes, probe, echo});
    }

    void arrive() {
        for (std::size_t i = wire.size(); i > 0; --i) {
            const Packet packet = wire.front();
            wire.pop_front();
            if (packet.arrives > now) {
                wire.push_back(packet);
                continue;
            }
            End& end = ends[packet.to];
            end.rx += packet.bytes;
            if (packet.probe) {
                end.watch.hinted(now);
                send(packet.to, packet_bytes, {}, packet.probe);
            }
            if (packet.echo) end.watch.echoed(*packet.echo, now);
        }
    }

    // `traffic(second)`: what to send in each tick.
    template <typename Traffic>
    void run(Duration time, Traffic traffic) {
        for (const Instant until = now + time; now < until; now += tick) {
            arrive();
            traffic();
            for (std::size_t i = 0; i < 2; ++i) {
                End& end = ends[i];
                const PathState before = end.watch.state();
                if (now.time_since_epoch() % 1s == 0s) end.watch.counted(end.tx, end.rx, now);
                if (const auto nonce = end.watch.step(now, random)) {
                    ++end.probes;
                    send(i, packet_bytes, nonce);
                }
                if (end.watch.state() == before) continue;
                end.changes.emplace_back(now.time_since_epoch(), end.watch.state());
                if (tells && end.watch.state() == PathState::Dead) ends[1 - i].watch.told_dead(now);
            }
        }
    }
    void run(Duration time) {
        run(time, [] {});
    }
};

bool was(const Tunnel::End& end, PathState state) {
    for (const auto& change : end.changes)
        if (change.second == state) return true;
    return false;
}

}  // namespace

// Ten thousand idle tunnels would keep every laptop awake and every metered line busy.
TEST_CASE("an idle path is not probed, and neither is one with WireGuard's keepalives") {
    Tunnel tunnel;
    tunnel.run(1h);
    CHECK(tunnel.ends[0].probes == 0);
    CHECK(tunnel.ends[0].watch.next_step() == Instant::max());
    tunnel.run(1h, [&] {
        if (tunnel.now.time_since_epoch() % 25s == 0s) tunnel.send(0, path_keepalive_bytes);
    });
    CHECK(tunnel.ends[0].probes == 0);
    CHECK(tunnel.ends[0].changes.empty());
}

// A path that has died would swallow packets for minutes, until WireGuard's own timers notice.
TEST_CASE("a path that dies under traffic is dead within seven seconds at both ends") {
    for (const bool forth : {true, false}) {
        for (const bool back : {true, false}) {
            if (forth && back) continue;
            CAPTURE(forth);
            CAPTURE(back);
            Tunnel tunnel;
            const auto both_ways = [&] {
                tunnel.send(0, packet_bytes);
                tunnel.send(1, packet_bytes);
            };
            tunnel.run(10s, both_ways);
            CHECK(tunnel.ends[0].changes.empty());
            tunnel.carries[0] = forth;
            tunnel.carries[1] = back;
            tunnel.run(7s, both_ways);
            CHECK(tunnel.ends[0].watch.state() == PathState::Dead);
            CHECK(tunnel.ends[1].watch.state() == PathState::Dead);
            CHECK(!tunnel.ends[0].watch.carries());
        }
    }
}

// A download, or a camera's stream, would be thrown off a path that works.
TEST_CASE("one-way traffic gives no false alarm") {
    Tunnel tunnel;
    tunnel.run(1h, [&] { tunnel.send(0, packet_bytes); });
    CHECK(!was(tunnel.ends[0], PathState::Dead));
    CHECK(!was(tunnel.ends[1], PathState::Dead));
    // One probe for each two seconds of silence, and not more.
    CHECK(tunnel.ends[0].probes <= 1800);
}

// A bad Wi-Fi would flap between its path and a lighthouse.
TEST_CASE("a third of all packets lost gives no false alarm") {
    for (std::uint64_t seed = 1; seed <= 20; ++seed) {
        CAPTURE(seed);
        Tunnel tunnel{.random = SeededRandom(seed), .loss = 0.3};
        tunnel.run(10min, [&] {
            tunnel.send(0, packet_bytes);
            tunnel.send(1, packet_bytes);
        });
        CHECK(!was(tunnel.ends[0], PathState::Dead));
        CHECK(!was(tunnel.ends[1], PathState::Dead));
    }
}

// A path half of which works would be taken for whole: everything sent on it is lost.
TEST_CASE("what comes in clears a suspicion, and never revives the dead") {
    PathWatch watch(Instant{}, PathState::Alive);
    SeededRandom random(1);
    watch.counted(0, 0, Instant{});
    watch.counted(500, 0, Instant{1s});
    CHECK(watch.step(Instant{3s}, random));
    CHECK(watch.state() == PathState::Suspect);
    watch.counted(600, 100, Instant{3500ms});
    CHECK(watch.state() == PathState::Alive);

    watch.told_dead(Instant{4s});
    for (int second = 5; second < 100; ++second) {
        watch.counted(600, 100 + 1000 * second, Instant{std::chrono::seconds(second)});
        watch.step(Instant{std::chrono::seconds(second)}, random);
        CHECK(watch.state() == PathState::Dead);
    }
}

// One lucky packet on a broken path would bring its traffic back, to be lost.
TEST_CASE("three answered probes in a row bring a dead path back, and no other answer does") {
    PathWatch watch(Instant{}, PathState::Alive);
    SeededRandom random(1);
    watch.measure();
    const auto earlier = watch.step(Instant{}, random);
    REQUIRE(earlier);
    watch.told_dead(Instant{1s});
    CHECK(watch.echoed(*earlier, Instant{1s}) == Answer::None);      // asked before it died
    CHECK(watch.echoed(*earlier + 1, Instant{1s}) == Answer::None);  // never asked

    Instant now = watch.next_step();
    const auto first = watch.step(now, random);
    REQUIRE(first);
    CHECK(watch.echoed(*first, now + 50ms) == Answer::Proof);
    CHECK(watch.echoed(*first, now + 60ms) == Answer::None);  // again
    now = watch.next_step();
    REQUIRE(watch.step(now, random));
    // The second is never answered: the row is broken.
    now += path_probe_patience + 1ms;
    for (unsigned i = 0; i < path_revival_echoes; ++i) {
        CHECK(watch.state() == PathState::Dead);
        watch.step(now, random);  // finds what is missing, if anything
        now = std::max(now, watch.next_step());
        const auto nonce = watch.step(now, random);
        REQUIRE(nonce);
        CHECK(watch.echoed(*nonce, now + 50ms) != Answer::None);
    }
    CHECK(watch.state() == PathState::Alive);
}

// A peer that is off for the weekend would be probed a hundred thousand times.
TEST_CASE("probes of a dead path back off to ten minutes") {
    Tunnel tunnel{.tells = false};
    tunnel.carries[0] = tunnel.carries[1] = false;
    tunnel.ends[0].watch.told_dead(tunnel.now);
    tunnel.run(1h);
    CHECK(tunnel.ends[0].probes <= 10 + 6);
    const unsigned before = tunnel.ends[0].probes;
    tunnel.run(1h);
    CHECK(tunnel.ends[0].probes - before <= 7);
    CHECK(tunnel.ends[0].probes - before >= 5);
}

// The path would stay unused for up to ten minutes after it works again.
TEST_CASE("a dead path that works again is back soon after either end's probe gets through") {
    Tunnel tunnel;
    tunnel.carries[0] = tunnel.carries[1] = false;
    tunnel.ends[0].watch.told_dead(tunnel.now);
    tunnel.ends[1].watch.told_dead(tunnel.now);
    tunnel.run(30min);
    CHECK(tunnel.ends[0].watch.state() == PathState::Dead);
    tunnel.carries[0] = tunnel.carries[1] = true;
    tunnel.ends[0].watch.moved(tunnel.now);
    tunnel.run(6s);
    CHECK(tunnel.ends[0].watch.state() == PathState::Alive);
    CHECK(tunnel.ends[1].watch.state() == PathState::Alive);
}

// A link that was just agreed would carry traffic before anybody knows that it works, or never.
TEST_CASE("a new path is probed until it answers, or is dead after ten seconds") {
    SeededRandom random(1);
    PathWatch watch{Instant{}};
    CHECK(!watch.carries());
    const auto nonce = watch.step(Instant{}, random);
    REQUIRE(nonce);
    CHECK(watch.echoed(*nonce, Instant{40ms}) == Answer::Proof);
    CHECK(watch.carries());

    PathWatch silent{Instant{}};
    for (Duration at{}; at < path_new_patience; at += 1s) {
        CHECK(silent.step(Instant{at}, random));
        CHECK(silent.state() == PathState::New);
    }
    silent.step(Instant{path_new_patience}, random);
    CHECK(silent.state() == PathState::Dead);
}

// A laptop that wakes up would hold every path for dead at once.
TEST_CASE("a machine that slept gives each path its probes before it judges") {
    SeededRandom random(1);
    PathWatch watch(Instant{}, PathState::Alive);
    watch.counted(0, 0, Instant{});
    watch.counted(500, 0, Instant{1s});
    const auto nonce = watch.step(Instant{1h}, random);
    REQUIRE(nonce);
    CHECK(watch.state() == PathState::Suspect);
    CHECK(!watch.step(Instant{1h + 100ms}, random));
    CHECK(watch.echoed(*nonce, Instant{1h + 150ms}) == Answer::Proof);
    CHECK(watch.state() == PathState::Alive);
}

// One slow answer would make a near peer look far.
TEST_CASE("the RTT is smoothed, and late answers do not count") {
    SeededRandom random(1);
    PathWatch watch(Instant{}, PathState::Alive);
    Instant now{};
    const auto measure = [&](Duration rtt) {
        watch.measure();
        const auto nonce = watch.step(now, random);
        REQUIRE(nonce);
        now += rtt;
        return watch.echoed(*nonce, now);
    };
    CHECK(measure(80ms) == Answer::Proof);
    CHECK(measure(80ms) == Answer::Measure);
    CHECK(measure(160ms) == Answer::Measure);
    CHECK(*watch.rtt() == 90ms);
    CHECK(measure(path_probe_patience + 1ms) == Answer::None);
    CHECK(*watch.rtt() == 90ms);
}

// What was measured while the whole machine began would decide for an hour which way is short.
TEST_CASE("an RTT of less than half is believed at once") {
    SeededRandom random(1);
    PathWatch watch(Instant{}, PathState::Alive);
    Instant now{};
    for (const Duration rtt : {3500ms, 3000ms, 2000ms, 20ms}) {
        watch.measure();
        const auto nonce = watch.step(now, random);
        REQUIRE(nonce);
        CHECK(watch.echoed(*nonce, now + rtt) != Answer::None);
        now += 5s;
    }
    CHECK(*watch.rtt() == 20ms);
}

// An idle tunnel's next packet waits for a handshake, so that everybody would look twice as far as he is, and
// nodes would let go of near peers for others that they only think are nearer.
TEST_CASE(
    "a probe that may have waited for a handshake measures nothing, and the next one comes at "
    "once") {
    SeededRandom random(1);
    PathWatch watch(Instant{}, PathState::Alive);
    watch.measure();
    auto nonce = watch.step(Instant{}, random);
    REQUIRE(nonce);
    CHECK(watch.echoed(*nonce, Instant{300ms}) == Answer::Proof);
    CHECK(!watch.rtt());
    nonce = watch.step(Instant{300ms}, random);
    REQUIRE(nonce);
    CHECK(watch.echoed(*nonce, Instant{400ms}) == Answer::Measure);
    CHECK(*watch.rtt() == 100ms);
    CHECK(!watch.step(Instant{500ms}, random));

    // Two that cross: they must not call each other up for ever.
    std::vector<std::uint64_t> sent;
    Instant now{1h};
    watch.measure();
    sent.push_back(*watch.step(now, random));
    watch.measure();
    sent.push_back(*watch.step(now + 10ms, random));
    unsigned more = 0;
    for (std::size_t i = 0; i < sent.size() && more < 100; ++i) {
        now += 50ms;
        CHECK(watch.echoed(sent[i], now) != Answer::None);
        if (const auto next = watch.step(now, random)) {
            sent.push_back(*next);
            ++more;
        }
    }
    CHECK(more == 1);
}

// An interface whose peer was made anew counts from zero: the difference would be enormous.
TEST_CASE("counters that begin again are no traffic") {
    SeededRandom random(1);
    PathWatch watch(Instant{}, PathState::Alive);
    watch.counted(5000, 5000, Instant{});
    watch.counted(0, 0, Instant{1s});
    CHECK(watch.next_step() == Instant::max());
    watch.counted(200, 0, Instant{2s});
    CHECK(watch.next_step() == Instant{2s} + path_suspect_after);
}
