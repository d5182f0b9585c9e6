#include "preboot/timeline.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>

#include "fakes/boot_world.h"
#include "os/log_sink.h"

using namespace fortros;
using namespace fortros::fakes;

using Group = BootTimeline::Group;
using Look = BootTimeline::Look;

static const Endpoint gateway = *Endpoint::parse("203.0.113.5:443");
static const Endpoint dead = *Endpoint::parse("203.0.113.66:443");

// As PrebootLog writes them.
static std::string events_of(const BootWorld& world) {
    std::string text;
    for (const auto& [at, entry] : world.entries) text += to_json_line(entry, at);
    return text;
}

static BootTimeline timeline_of(const BootWorld& world) {
    const auto timeline = read_timeline(events_of(world));
    REQUIRE(timeline);
    return *timeline;
}

static const BootTimeline::Row* row(const BootTimeline& timeline, Group group,
                                    std::string_view name) {
    const auto found = std::ranges::find_if(timeline.rows, [&](const auto& candidate) {
        return candidate.group == group && candidate.name == name;
    });
    return found == timeline.rows.end() ? nullptr : &*found;
}

// A whole boot with a dead cached address, a slow link and a DNS answer.
static void boot_by_detour(BootWorld& world) {
    world.settings.gateways = {dead};
    world.hosts[dead] = Host::Silent;
    world.link_delay = 900ms;
    REQUIRE(world.boot() == ExitStatus::Joined);
}

// Who looks at a slow boot must see what it waited for, and who won.
TEST_CASE("a boot is drawn with all stages, what was asked and tried, and who won") {
    BootWorld world;
    boot_by_detour(world);
    const BootTimeline timeline = timeline_of(world);
    CHECK(timeline.status == 0);
    CHECK(timeline.lines_left_out == 0);
    CHECK(timeline.bars_left_out == 0);
    const char* stages[] = {"settings", "clock",     "links",    "discover", "authenticate",
                            "enrol",    "wireguard", "remember", "hand off"};
    for (const char* stage : stages) {
        CAPTURE(stage);
        CHECK(row(timeline, Group::Stages, stage));
    }
    const auto* links = row(timeline, Group::Stages, "links");
    REQUIRE(links);
    CHECK(links->took == 900ms);
    CHECK(links->note.starts_with("eth0 "));
    const auto* link = row(timeline, Group::Links, "eth0");
    REQUIRE(link);
    CHECK(link->took == 900ms);

    const auto* silent = row(timeline, Group::Candidates, "cached " + dead.text());
    REQUIRE(silent);
    REQUIRE(silent->bars.size() == 1);
    CHECK(silent->bars[0].look == Look::Reaching);
    CHECK(silent->note == "not needed any more");
    const auto* asked = row(timeline, Group::Sources, "public-dns 9.9.9.9");
    REQUIRE(asked);
    CHECK(asked->bars.back().look == Look::Good);
    CHECK(asked->note == gateway.text());
    const auto* won = row(timeline, Group::Candidates, "public-dns " + gateway.text());
    REQUIRE(won);
    REQUIRE(won->bars.size() == 2);
    CHECK(won->bars[0].look == Look::Reaching);
    CHECK(won->bars[1].look == Look::Won);
    CHECK(row(timeline, Group::Overlay, "interfaces"));
    CHECK(timeline.took == world.took);
    for (const auto& each : timeline.rows)
        for (const auto& bar : each.bars) {
            CHECK(bar.begin <= bar.end);
            CHECK(bar.end <= timeline.took);
        }
}

// The one that is looked at most: nobody came up, and somebody has to find out why.
TEST_CASE("a boot that failed shows its rounds, the pauses between them and each reason") {
    BootWorld world;
    world.hosts[gateway] = Host::Rogue;
    world.settings.total_timeout = 8s;
    REQUIRE(world.boot() == ExitStatus::GatewayUntrusted);
    const BootTimeline timeline = timeline_of(world);
    CHECK(timeline.status == static_cast<int>(ExitStatus::GatewayUntrusted));
    const auto* second = row(timeline, Group::Rounds, "round 2");
    REQUIRE(second);
    CHECK(second->bars.front().look == Look::Pause);
    const auto* tried = row(timeline, Group::Candidates, "public-dns " + gateway.text());
    REQUIRE(tried);
    CHECK(tried->bars.size() >= 4);  // both parts of at least two attempts
    CHECK(tried->bars.back().look == Look::Failed);
    CHECK(!timeline.troubles.empty());
    const std::string text = to_text(timeline, {});
    CHECK(text.contains("gateway-untrusted (exit status 8)"));
    CHECK(text.contains("round 2"));
}

// A power cut in the middle of a line is exactly when somebody wants to see how far it came.
TEST_CASE("events that end anywhere are drawn as far as they go") {
    BootWorld world;
    boot_by_detour(world);
    const std::string whole = events_of(world);
    const std::size_t first = whole.find('\n') + 1;
    for (std::size_t end = first; end < whole.size(); end += 97) {
        const auto timeline = read_timeline(std::string_view(whole).substr(0, end));
        REQUIRE(timeline);
        CHECK(timeline->lines_left_out <= 1);
        CHECK(!to_svg(*timeline).empty());
        if (!timeline->status) CHECK(to_text(*timeline, {}).contains("has not ended"));
    }
}

// A second attempt in the same initramfs appends to the file.
TEST_CASE("of several boots the last one is drawn") {
    BootWorld world;
    world.settings.total_timeout = 3s;
    world.hosts.clear();
    REQUIRE(world.boot() == ExitStatus::NoGateway);
    const std::string before = events_of(world);
    world.hosts[gateway] = Host::Gateway;
    world.entries.clear();
    REQUIRE(world.boot() == ExitStatus::Joined);
    const auto both = read_timeline(before + events_of(world));
    REQUIRE(both);
    CHECK(both->status == 0);
    CHECK(!row(*both, Group::Rounds, "round 2"));
    CHECK(to_svg(*both) == to_svg(timeline_of(world)));
}

// Nodes that were built before these events were told would show nothing at all.
TEST_CASE("the events of an older agent show its stages") {
    const auto timeline = read_timeline(
        R"({"t_ms":1000,"level":"info","event":"stage","message":"[1/9] settings: sources cached, 1 ms","fields":{"number":1,"stage":"settings","ms":1.250}}
{"t_ms":1100,"level":"info","event":"stage","message":"[3/9] links: eth0 192.0.2.10/24, 100 ms","fields":{"number":3,"stage":"links","ms":99.500,"interface":"eth0"}}
{"t_ms":1200,"level":"error","event":"finished","message":"no-gateway (exit status 7): nobody","fields":{"status":7,"cause":"no-gateway","ms":200.000}}
)");
    REQUIRE(timeline);
    CHECK(timeline->rows.size() == 2);
    CHECK(row(*timeline, Group::Stages, "links")->took == 99ms);
    CHECK(row(*timeline, Group::Stages, "links")->note == "eth0 192.0.2.10/24");
    CHECK(timeline->status == 7);
}

// The file is anybody's who is root, and the picture is opened in a browser.
TEST_CASE("what strangers have put into the events stays text") {
    const std::string evil =
        R"({"t_ms":1,"level":"info","event":"started","message":"","fields":{"agent":"<script>alert(1)</script>","gateway_name":"a\"b&c"}}
{"t_ms":2,"level":"warning","event":"gave-up","message":"\u001b[31m<img src=x>","fields":{"id":-5,"why":"\u0007"}}
)";
    const auto timeline = read_timeline(evil);
    REQUIRE(timeline);
    const std::string svg = to_svg(*timeline);
    CHECK(!svg.contains("<script"));
    CHECK(!svg.contains("<img"));
    CHECK(svg.contains("&lt;script&gt;"));
    const std::string text = to_text(*timeline, {});
    CHECK(!text.contains('\x1b'));
    CHECK(!text.contains('\x07'));
}

// A gateway that was away for a night must not make a picture that nothing can open.
TEST_CASE("a boot of a thousand rounds is bounded, and says what it leaves out") {
    std::string events = R"({"t_ms":0,"level":"info","event":"started","message":""})"
                         "\n";
    for (int i = 1; i <= 3000; ++i) {
        const std::string at = std::to_string(i * 10), id = std::to_string(i);
        events += R"({"t_ms":)" + at +
                  R"(,"level":"info","event":"round","message":"","fields":{"round":)" + id +
                  "}}\n";
        events += R"({"t_ms":)" + at +
                  R"(,"level":"info","event":"attempt","message":"","fields":{"id":)" + id +
                  R"(,"source":"cached","endpoint":"203.0.113.5:443"}})"
                  "\n";
        events += R"({"t_ms":)" + at +
                  R"(,"level":"warning","event":"gave-up","message":"no","fields":{"id":)" + id +
                  R"(,"why":"refused"}})"
                  "\n";
        events += R"({"t_ms":)" + at +
                  R"(,"level":"notice","event":"round-failed","message":"again"})"
                  "\n";
    }
    const auto timeline = read_timeline(events);
    REQUIRE(timeline);
    CHECK(timeline->rows.size() <= timeline_rows_limit);
    CHECK(timeline->troubles.size() == timeline_troubles_limit);
    CHECK(timeline->bars_left_out > 0);
    CHECK(to_text(*timeline, {}).contains("more are not drawn"));
    CHECK(to_svg(*timeline).size() < 1024 * 1024);
}

TEST_CASE("no boot, no drawing") {
    CHECK(!read_timeline(""));
    CHECK(!read_timeline("\n\n{}\nnonsense\n"));
    CHECK(!read_timeline(std::string(events_size_limit + 1, ' ')));
}

// A rescue shell on a serial line shows question marks, or breaks its lines.
TEST_CASE("text is as wide as the terminal, and plain where nothing else is wanted") {
    BootWorld world;
    boot_by_detour(world);
    const BootTimeline timeline = timeline_of(world);
    for (const std::size_t width : {80UZ, 100UZ, 160UZ}) {
        const std::string text = to_text(timeline, {.width = width});
        std::size_t longest = 0, begin = 0;
        for (auto end = text.find('\n'); end != std::string::npos;
             begin = end + 1, end = text.find('\n', begin))
            longest = std::max(longest, end - begin);
        CHECK(longest <= std::max(width, 100UZ));
        CHECK(
            std::ranges::all_of(text, [](char c) { return c == '\n' || (c >= ' ' && c <= '~'); }));
    }
    CHECK(to_text(timeline, {.unicode = true}).contains("█"));
    CHECK(to_text(timeline, {.colour = true}).contains("\x1b[1;32m"));
}

TEST_CASE("lines across are few and at round times") {
    const auto labels = [](Duration whole) {
        std::string text;
        for (const auto& [at, label] : ticks_of(whole, 6)) text += label + "|";
        return text;
    };
    CHECK(labels(0ms) == "0|");
    CHECK(labels(1ms) == "0|0.2 ms|0.4 ms|0.6 ms|0.8 ms|1 ms|");
    CHECK(labels(1370ms) == "0|500 ms|1.0 s|");
    CHECK(labels(2min) == "0|50.0 s|100 s|");
    CHECK(ticks_of(std::chrono::hours{24 * 3650}, 6).size() <= 7);
}

// "Not needed any more" would send who looks at it the wrong way.
TEST_CASE("who does not answer in time has failed, and was not only left") {
    BootWorld world;
    world.resolvers.clear();
    world.settings.gateways = {dead};
    world.hosts[dead] = Host::Silent;
    world.settings.total_timeout = 12s;
    REQUIRE(world.boot() == ExitStatus::NoGateway);
    const BootTimeline timeline = timeline_of(world);
    const auto* tried = row(timeline, Group::Candidates, "cached " + dead.text());
    REQUIRE(tried);
    CHECK(tried->bars.front().look == Look::Failed);
}
