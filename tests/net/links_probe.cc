// Runs os/links by a settings file, in the agent's cage (os/confinement.h), and prints what it tells,
// one JSON object a line, until its standard input ends:
//
//   links-probe SETTINGS
//
// A line "IFINDEX" on its standard input makes the routes prefer that link: {"event":"preferred"}.
//
//   {"event":"usable","name":"eth0",...}   {"event":"lost","ifindex":2,"why":"no carrier"}
//   {"event":"trouble","why":"eth0: no carrier"}   {"event":"ended","peak_rss_kib":1234}
#include <sys/epoll.h>
#include <unistd.h>

#include <cstdio>
#include <string>

#include "base/text.h"
#include "core/json.h"
#include "os/confinement.h"
#include "os/files.h"
#include "os/links.h"
#include "os/log_sink.h"
#include "os/loop.h"
#include "os/random.h"

using namespace fortros;

static void print(const Json& json) {
    std::puts(json.dump().c_str());
    std::fflush(stdout);
}

static Json event(std::string_view name) {
    Json json;
    json.set("event", name);
    return json;
}

template <typename Values>
static Json texts_of(const Values& values) {
    Json json{Json::Array{}};
    for (const auto& value : values) json.push(value.text());
    return json;
}

static void print_usable(const LinkReport& report) {
    Json json = event("usable");
    json.set("ifindex", report.ifindex).set("name", report.name).set("mac", report.mac);
    json.set("addresses", texts_of(report.addresses));
    json.set("gateways", texts_of(report.gateways));
    json.set("resolvers", texts_of(report.resolvers));
    // As it would be handed to the real root.
    HandOff hand_off;
    hand_off.uplinks.push_back(report);
    const auto written = Json::parse(to_json_text(hand_off), {});
    const Json* uplinks = written ? written->find("uplinks") : nullptr;
    for (const std::string_view name : {"vlan", "dhcp", "dhcp6"})
        if (const Json* lease = uplinks ? (*uplinks->array())[0].find(name) : nullptr)
            json.set(std::string(name), *lease);
    print(json);
}

// Not getrusage(2): that counts what whoever started us had before execve(2).
static Result<std::int64_t> peak_rss_kib() {
    constexpr std::string_view key = "VmHWM:";
    const std::string status = TRY(read_file("/proc/self/status", std::size_t{16} * 1024));
    for (const std::string_view line : split(status, '\n'))
        if (line.starts_with(key))
            return parse_number<std::int64_t>(words_of(line.substr(key.size()))[0]).value_or(0);
    return fail(ErrorCode::NotFound, "no peak of memory");
}

static void prefer(Links& links, std::string_view line) {
    const Status done = links.prefer(parse_number<unsigned>(line).value_or(0));
    print(done ? event("preferred") : event("refused").set("why", done.error().text()));
}

// Whole lines; an empty read is the end.
static void read_commands(Loop& loop, Links& links) {
    char buffer[64];
    const ssize_t size = ::read(STDIN_FILENO, buffer, sizeof(buffer));
    if (size <= 0) return loop.stop();
    for (const std::string_view line : words_of({buffer, static_cast<std::size_t>(size)}))
        prefer(links, line);
}

static Status run(const char* path) {
    const Settings settings = TRY(parse_settings(TRY(read_file(path, settings_file_limit)), path));
    TRY(confine({.capabilities = capabilities_of_a_boot(OnFailure::Exit)}));
    StderrLog log("links-probe");
    log.show_debug(true);
    KernelRandom random;
    const auto loop = TRY(Loop::create());
    const auto links = TRY(Links::start(
        *loop, log, random, settings,
        {.usable = print_usable,
         .lost =
             [](unsigned ifindex, const std::string& why) {
                 print(event("lost").set("ifindex", ifindex).set("why", why));
             },
         .trouble = [](const std::string& why) { print(event("trouble").set("why", why)); }}));
    const auto input = TRY(
        loop->watch(STDIN_FILENO, EPOLLIN, [&](std::uint32_t) { read_commands(*loop, *links); }));
    TRY(loop->run());
    print(event("ended").set("peak_rss_kib", TRY(peak_rss_kib())));
    return {};
}

int main(int argc, char** argv) {
    if (argc != 2) {
        std::fputs("usage: links-probe SETTINGS\n", stderr);
        return 2;
    }
    const Status status = run(argv[1]);
    if (!status) std::fprintf(stderr, "links-probe: %s\n", status.error().text().c_str());
    return status ? 0 : 1;
}
