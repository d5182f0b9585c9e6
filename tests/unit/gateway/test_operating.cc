// What operators are told, by whatever a gateway may be at.
#include "gateway/operating.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "unit/gateway/fakes.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

struct World {
    Metrics metrics{.checks = {{"registry", ""}, {"tunnels", ""}}};
    Duration silence{};

    Answer ask(std::string target, std::string method = "GET") {
        return answer_operator({.method = std::move(method), .target = std::move(target)},
                               {.metrics = metrics, .silence = silence});
    }
};

const MetricFamily& family(const std::vector<MetricFamily>& families, std::string_view name) {
    const auto found = std::ranges::find(families, name, &MetricFamily::name);
    REQUIRE_MESSAGE(found != families.end(), std::string(name));
    return *found;
}

}  // namespace

// A node would be sent to a gateway that can't serve it, or an operator would not learn why.
TEST_CASE(
    "operating: ready is who has no problem, and each problem is named on a line of its own") {
    World world;
    CHECK(world.ask("/readyz").status == 200);
    CHECK(world.ask("/readyz").body == "registry: ok\ntunnels: ok\n");
    world.metrics.checks[1].problem = "no such\ninterface";
    CHECK(world.ask("/readyz").status == 503);
    CHECK(world.ask("/readyz").body == "registry: ok\ntunnels: no such?interface\n");
}

// A supervisor would start a gateway anew because its disk is full.
TEST_CASE("operating: it lives, whatever its problems") {
    World world;
    world.metrics.checks[0].problem = "gone";
    CHECK(world.ask("/healthz").status == 200);
}

// A gateway that hangs would never be started again, or one that waits for its disk would be.
TEST_CASE("operating: it lives while its silence may end") {
    World world;
    world.silence = longest_silence;
    CHECK(world.ask("/healthz").status == 200);
    world.silence = longest_silence + 1s;
    CHECK(world.ask("/healthz").status == 503);
    CHECK(world.ask("/healthz").body.contains("61"));
}

// A typing mistake in a probe would be a gateway that is always well.
TEST_CASE("operating: what is not there, and what can't be done") {
    World world;
    CHECK(world.ask("/").status == 404);
    CHECK(world.ask("/metrics/").status == 404);
    CHECK(world.ask("/metrics?now").status == 200);
    const auto answer = world.ask("/readyz", "POST");
    CHECK(answer.status == 405);
    CHECK(*header_of(answer, "Allow") == "GET");
}

// Strangers would fill the gateway's memory, and Prometheus' too, with made-up targets.
TEST_CASE("metrics: answers are counted by known targets, statuses and codes") {
    AnswerCounts counts;
    counts.add("/v1/join", {200, {}, {}});
    counts.add("/v1/join", {200, {}, {}});
    counts.add("/v1/members?since=1", {204, {}, {}});
    counts.add("/v1/enroll", make_refusal(RefusalCode::InviteInvalid, "no"));
    for (int i = 0; i < 50; ++i) counts.add("/" + std::to_string(i), {404, {}, {}});
    std::multiset<std::string> seen;
    for (const auto& sample : counts.by_target().samples)
        seen.insert(sample.labels[0].second + " " + sample.labels[1].second + " " +
                    std::to_string(sample.value));
    CHECK(seen == std::multiset<std::string>{"/v1/join 200 2", "/v1/members 204 1",
                                             "/v1/enroll 401 1", "other 404 50"});
    const auto refusals = counts.by_refusal();
    REQUIRE(refusals.samples.size() == 1);
    CHECK(refusals.samples[0].labels[0].second == "invite-invalid");
}

// A graph would show newcomers of a batch that could not be written.
TEST_CASE("metrics: what has become of nodes is counted by the answers that they were given") {
    AnswerCounts counts;
    Answer welcome{200, {}, {}};
    welcome.progress = Progress::Enrolled;
    counts.add("/v1/enroll", welcome);
    counts.add("/v1/enroll", make_refusal(RefusalCode::Busy, "the disk is full"));
    welcome.progress = Progress::Joined;
    counts.add("/v1/join", welcome);
    counts.add("/v1/join", welcome);
    const auto families = families_of({.connections = {.answers = counts}});
    const auto value = [&](std::string_view name) {
        return family(families, "fortros_gateway_" + std::string(name)).samples[0].value;
    };
    CHECK(value("enrolments_total") == 1);
    CHECK(value("joins_total") == 2);
    CHECK(value("approvals_asked_total") == 0);
}

// A graph would show no members where the registry can't be asked, and wake somebody up.
TEST_CASE("metrics: what is not known is left out, and every name is there once") {
    const auto families = families_of({});
    std::set<std::string> names;
    for (const auto& [name, type, help, samples] : families) {
        CHECK_MESSAGE(names.insert(name).second, name);
        CHECK_MESSAGE(!help.empty(), name);
        CHECK_MESSAGE(name.ends_with("_total") == (type == MetricType::Counter), name);
        // OpenMetrics has no room for a gauge beside a counter of the same name.
        if (type == MetricType::Counter)
            CHECK_MESSAGE(!names.contains(name.substr(0, name.size() - 6)), name);
    }
    CHECK(!names.contains("fortros_gateway_members"));
    CHECK(family(families_of({.members = 0}), "fortros_gateway_members").samples[0].value == 0);
}

// An alert on a certificate that ends, or on a check that fails, would never come.
TEST_CASE("metrics: ends of certificates and checks") {
    const auto families =
        families_of({.certificates = {{"/a.pem", WallTime{std::chrono::seconds{1'800'000'000}}}},
                     .checks = {{"registry", "gone"}, {"tunnels", ""}}});
    const auto& ends = family(families, "fortros_gateway_certificate_expiry_timestamp_seconds");
    REQUIRE(ends.samples.size() == 1);
    CHECK(ends.samples[0].value == 1'800'000'000);
    const auto& ready = family(families, "fortros_gateway_ready");
    REQUIRE(ready.samples.size() == 2);
    CHECK(ready.samples[0].value == 0);
    CHECK(ready.samples[1].value == 1);
}
