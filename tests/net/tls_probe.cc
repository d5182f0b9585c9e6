// One conversation as os/tls.h has it, for tests against real TLS servers. Prints one JSON object.
//
//   tls-probe CA_FILE GATEWAY_NAME ENDPOINT [NOW[,BUILD_TIME[,REMEMBERED]] [TIMEOUT_MS]]
//
//   {"authenticated": {"wireguard_key": ..., "exporter": ..., "newest_not_before": ...,
//                      "earliest_not_after": ...},
//    "answered": {"status": 200, "body": "..."},      or
//    "failed": {"code": "untrusted", "text": "..."},  or
//    "timeout": true,
//    "clock": "..."                                   with BUILD_TIME: what is said of it
//    "peak_kib": 1900}                                resident memory, at most
//
// The request's body is "the-secret-invite". NOW is a time of RFC 3339; the default is the clock's. With
// a BUILD_TIME it is what the clock of a node says whose image is of that time, and which remembers
// having seen a certificate of that other time: it is trusted, or not, as in a boot.
#include <cstdio>
#include <string>
#include <vector>

#include "base/encoding.h"
#include "base/text.h"
#include "core/clock_rule.h"
#include "core/crypto.h"
#include "core/json.h"
#include "os/clock.h"
#include "os/files.h"
#include "os/loop.h"
#include "os/tls.h"

using namespace fortros;

class Probe final : public TlsHandler {
public:
    Probe(Loop& loop, std::string name) : m_loop(loop), m_name(std::move(name)) {}

    void run(TlsConnector& connector, const TlsTarget& target) {
        m_connection = connector.connect(target, *this);
    }
    void cancel() {
        m_connection.reset();
        result.set("timeout", true);
        m_loop.stop();
    }

    void authenticated(GatewayIdentity identity) override {
        Json told;
        told.set("wireguard_key", identity.wireguard_key.base64url());
        told.set("exporter", to_hex(identity.exporter.view()));
        told.set("newest_not_before", to_rfc3339(identity.newest_not_before));
        told.set("earliest_not_after", to_rfc3339(identity.earliest_not_after));
        result.set("authenticated", std::move(told));
        m_connection->send(serialize({.method = "POST",
                                      .target = "/v1/enroll",
                                      .host = m_name,
                                      .body = SecretBytes(std::string_view("the-secret-invite"))}));
    }
    void answered(HttpAnswer answer) override {
        Json told;
        told.set("status", answer.status);
        told.set("body", printable(answer.body));
        result.set("answered", std::move(told));
        end();
    }
    void failed(Error error) override {
        Json told;
        told.set("code", name_of(error.code));
        told.set("text", error.text());
        result.set("failed", std::move(told));
        end();
    }

    Json result;

private:
    void end() {
        m_connection.reset();
        m_loop.stop();
    }

    Loop& m_loop;
    std::string m_name;
    std::unique_ptr<TlsConnection> m_connection;
};

// VmHWM of proc_pid_status(5).
static unsigned peak_resident_kib() {
    const std::string status = read_file("/proc/self/status", 65536).value_or("");
    std::string_view rest = status;
    rest.remove_prefix(std::min(rest.find("VmHWM:"), rest.size()));
    const auto words = words_of(rest);
    return words.size() < 2 ? 0 : parse_number<unsigned>(words[1]).value_or(0);
}

static Result<ClockVerdict> verdict_of(std::string_view text, const TrustAnchors& anchors) {
    std::vector<WallTime> times;
    for (std::size_t begin = 0; begin <= text.size();) {
        const auto end = std::min(text.find(',', begin), text.size());
        const auto time = from_rfc3339(text.substr(begin, end - begin));
        if (!time) return fail(ErrorCode::InvalidArgument, "no time: " + std::string(text));
        times.push_back(*time);
        begin = end + 1;
    }
    ClockEvidence evidence{.rtc = times[0],
                           .ca_not_before = anchors.newest_not_before(),
                           .ca_not_after = anchors.latest_not_after()};
    if (times.size() == 1) return ClockVerdict{.rtc = times[0], .now = times[0], .trusted = true};
    evidence.build_time = times[1];
    if (times.size() > 2) evidence.remembered = times[2];
    return judge_clock(evidence);
}

static Result<Json> run(const std::vector<std::string>& words) {
    if (words.size() < 3 || words.size() > 5)
        return fail(ErrorCode::InvalidArgument, "see the head of the source");
    const auto endpoint = Endpoint::parse(words[2]);
    if (!endpoint) return fail(ErrorCode::InvalidArgument, "no endpoint: " + words[2]);
    const auto timeout = parse_number<unsigned>(words.size() > 4 ? words[4] : "20000");
    if (!timeout) return fail(ErrorCode::InvalidArgument, "no number: " + words[4]);

    TRY(crypto::initialise());
    const auto loop = TRY(Loop::create());
    const auto anchors = TRY(TrustAnchors::load(words[0]));
    const auto clock =
        TRY(verdict_of(words.size() > 3 ? words[3] : to_rfc3339(wall_now()), *anchors));
    const auto connector = TRY(TlsConnector::create(*loop, *anchors));
    Probe probe(*loop, words[1]);
    probe.run(*connector, {.endpoint = *endpoint,
                           .gateway_name = words[1],
                           .now = certificate_time(clock, clock.rtc)});
    auto deadline = loop->after(std::chrono::milliseconds{*timeout}, [&] { probe.cancel(); });
    TRY(loop->run());
    probe.result.set("peak_kib", peak_resident_kib());
    if (words.size() > 3 && words[3].contains(',')) probe.result.set("clock", to_text(clock));
    return std::move(probe.result);
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
