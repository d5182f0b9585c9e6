// One look-up as os/resolver.h does it, for tests against real DNS servers. Prints one JSON object.
//
//   resolver-probe [--port N] [--link NAME] [--service OWNER] [--gateway-port N] [--timeout MS]
//                  [--cancel-after MS] NAME [SERVER...]
//
//   {"addresses": ["2001:db8::1", "192.0.2.1"], "endpoints": ["[2001:db8::1]:443", ...], "took_ms": 3}
//   {"error": "name-not-resolved", "text": "...", "took_ms": 3}
//   {"cancelled": true, "calls": 0}              with --cancel-after; "calls" are those after it
#include <net/if.h>

#include <cstdio>
#include <string>
#include <vector>

#include "base/text.h"
#include "core/json.h"
#include "os/loop.h"
#include "os/resolver.h"

using namespace fortros;

struct Arguments {
    LookupRequest request;
    Duration timeout = 30s;
    std::optional<Duration> cancel_after{};
};

static Result<Arguments> parse(const std::vector<std::string>& words) {
    Arguments out;
    std::size_t i = 0;
    for (; i + 1 < words.size() && words[i].starts_with("--"); i += 2) {
        const auto number = parse_number<std::uint16_t>(words[i + 1]);
        if (words[i] == "--link")
            out.request.resolvers.ifindex = ::if_nametoindex(words[i + 1].c_str());
        else if (words[i] == "--service")
            out.request.service = words[i + 1];
        else if (!number)
            return fail(ErrorCode::InvalidArgument, "no number: " + words[i + 1]);
        else if (words[i] == "--port")
            out.request.port = *number;
        else if (words[i] == "--gateway-port")
            out.request.gateway_port = *number;
        else if (words[i] == "--timeout")
            out.timeout = std::chrono::milliseconds{*number};
        else if (words[i] == "--cancel-after")
            out.cancel_after = std::chrono::milliseconds{*number};
        else
            return fail(ErrorCode::InvalidArgument, "unknown option: " + words[i]);
    }
    if (i == words.size()) return fail(ErrorCode::InvalidArgument, "see the head of the source");
    out.request.name = words[i++];
    for (; i < words.size(); ++i) {
        const auto server = IpAddress::parse(words[i]);
        if (!server) return fail(ErrorCode::InvalidArgument, "no address: " + words[i]);
        out.request.resolvers.servers.push_back(*server);
    }
    return out;
}

static Result<Json> run(const std::vector<std::string>& words) {
    const Arguments arguments = TRY(parse(words));
    const auto loop = TRY(Loop::create());
    const Instant began = monotonic_now();
    Json out;
    std::int64_t calls = 0;
    std::unique_ptr<NameLookup> lookup;
    lookup = NameLookup::start(*loop, arguments.request, [&](Result<std::vector<Endpoint>> answer) {
        ++calls;
        lookup.reset();  // as the boot does: inside the call
        if (answer) {
            Json addresses{Json::Array{}}, endpoints{Json::Array{}};
            for (const auto& endpoint : *answer) {
                addresses.push(endpoint.address.text());
                endpoints.push(endpoint.text());
            }
            out.set("addresses", std::move(addresses));
            out.set("endpoints", std::move(endpoints));
        } else {
            out.set("error", name_of(answer.error().code));
            out.set("text", answer.error().text());
        }
        loop->stop();
    });
    if (calls > 0) return fail(ErrorCode::Internal, "called from inside start()");
    auto timeout = loop->after(arguments.timeout, [&] {
        out.set("error", "no answer within --timeout");
        loop->stop();
    });
    Loop::Timer cancel;
    if (arguments.cancel_after)
        cancel = loop->after(*arguments.cancel_after, [&] {
            lookup.reset();
            out.set("cancelled", true);
            calls = 0;
            cancel = loop->after(100ms, [&] { loop->stop(); });
        });
    TRY(loop->run());
    if (arguments.cancel_after) out.set("calls", calls);
    const auto took = monotonic_now() - began;
    out.set("took_ms",
            std::int64_t{std::chrono::duration_cast<std::chrono::milliseconds>(took).count()});
    return out;
}

int main(int count, char** arguments) {
    const auto result = run({arguments + 1, arguments + count});
    if (!result) {
        std::fprintf(stderr, "%s\n", result.error().text().c_str());
        return 1;
    }
    std::puts(result->dump().c_str());
    return 0;
}
