// os/demand_counter, os/relay_rules, os/forwarding and os/path_filters, as verbs. What is told is one JSON object.
//
//   usage: demand-probe count PREFIX          counts from now on; reads at each line of standard input
//          demand-probe relay INTERFACE...
//          demand-probe forward
//          demand-probe path-filters
#include <cstdio>
#include <set>
#include <string>
#include <string_view>

#include "core/json.h"
#include "os/demand_counter.h"
#include "os/forwarding.h"
#include "os/path_filters.h"
#include "os/relay_rules.h"

using namespace fortros;

namespace {

void tell(const Json& json) {
    std::printf("%s\n", json.dump().c_str());
    std::fflush(stdout);
}

Status count(const char* text) {
    const auto prefix = OrgPrefix::parse(text);
    if (!prefix) return fail(ErrorCode::InvalidArgument, "no prefix");
    auto counter = TRY(DemandCounter::create(*prefix));
    tell(Json(Json::Object{}));
    for (int c = std::getchar(); c != EOF; c = std::getchar()) {
        if (c != '\n') continue;
        Json json{Json::Object{}};
        for (const auto& [address, bytes] : TRY(counter.read(64)))
            json.set(address.text(), static_cast<std::int64_t>(bytes));
        tell(json);
    }
    return {};
}

Status run(int argc, char** argv) {
    const std::string_view verb = argc > 1 ? argv[1] : "";
    if (verb == "count" && argc == 3) return count(argv[2]);
    if (verb == "relay") {
        TRY(set_relay_rules(std::set<std::string>(argv + 2, argv + argc)));
        tell(Json(Json::Object{}));
        return {};
    }
    if (verb == "forward") {
        Json json{Json::Object{}};
        json.set("before", TRY(forwards_ipv6()));
        TRY(forward_ipv6());
        json.set("after", TRY(forwards_ipv6()));
        tell(json);
        return {};
    }
    if (verb == "path-filters") {
        Json json{Json::Array{}};
        for (const std::string& place : TRY(strict_path_filters())) json.push(place);
        tell(json);
        return {};
    }
    return fail(ErrorCode::InvalidArgument, "see the head of this file");
}

}  // namespace

int main(int argc, char** argv) {
    const Status status = run(argc, argv);
    if (status) return 0;
    std::fprintf(stderr, "demand-probe: %s\n", status.error().text().c_str());
    return 1;
}
