#include "meshsim/options.h"

#include <optional>

#include "base/text.h"

namespace fortros::meshsim {

const std::string_view meshsim_help =
    R"(fortros-meshsim - the mesh's own code over thousands of simulated nodes, in virtual time

usage:
  fortros-meshsim COMMAND [OPTION...]
  fortros-meshsim --help | --version

Every node of a simulated org runs what a real node's fortros-maintainer runs to choose its peers. The
world around it is made from a seed: regions on a map, sites with their latencies, LANs that use the same
private prefixes, NATs, lighthouses, traffic. WireGuard is modelled by its rules: a packet arrives only if
both ends have each other configured, a handshake can pass the NATs, and the answer comes by the answerer's
own routes. The same command with the same seed prints the same, to the last byte.

commands:
  faults       worlds in which all goes wrong: cuts, splits, mass deaths, churn, loss, revocations, liars.
               A line for each world, and what was wrong in it:
                 seed, live nodes, seconds from the healing until all promises held, link changes in all
                 and in the hour of rest, liars
  run          one such world, told: what is in it, what is done to it, what it is like over time
  quality      one world of honest nodes, settled: degree, latency stretch, and what is left when 30 % of
               all nodes die at once, before and after the repair. JSON
  dead-links   direct paths die under traffic: how long apps wait, and until the path is back. JSON
  idle         an hour without traffic: what a node sends and receives in a day. JSON
  world        what is in a world, and nothing more

options:
  --seed N           of the world, or of the first (1)
  --count N          faults: so many worlds (1)
  --nodes N          of the org (200), 10 to 1000000
  --lan N            nodes of an office, in the mean (24)
  --regions N        1 to 20 (by size: 4 to 7 below 1000 nodes, else 14)
  --lighthouses N    1 to 16 (2 for 3 regions, 3 to 10)
  --liars PERCENT    of nodes that claim what is not so, never answer, or configure nobody (0; faults and
                     run choose)
  --stale PERCENT    of nodes that begin with an older list of members (0; faults and run choose)
  --settle TIME      before anything is measured (20min)
  --rest TIME        faults, run: how long a settled world may change no link (1h)
  --draw DIR         run, quality: SVG drawings into DIR, which must exist

In JSON, numbers that are not whole are in thousandths (p90_milli) or millionths (direct_ppm); bytes are
those of IP packets on the uplink, sent and received.

exit status:
  0 all promises held (faults, run), or it was measured
  1 a promise was broken; the line names the seed
  2 usage
)";

namespace {

std::unexpected<Error> usage(std::string what) {
    return fail(ErrorCode::InvalidArgument, std::move(what), "see fortros-meshsim --help");
}

struct CommandName {
    std::string_view name;
    Options::Command command;
};
constexpr CommandName commands[] = {
    {"--help", Options::Command::Help},       {"-h", Options::Command::Help},
    {"--version", Options::Command::Version}, {"world", Options::Command::World},
    {"run", Options::Command::Run},           {"faults", Options::Command::Faults},
    {"quality", Options::Command::Quality},   {"dead-links", Options::Command::DeadLinks},
    {"idle", Options::Command::Idle},
};

// A whole number within bounds, put where it belongs.
template <typename Number>
Status take_number(std::string_view name, std::string_view value, Number low, Number high,
                   Number& out) {
    const auto number = parse_number<Number>(value);
    if (!number || *number < low || *number > high)
        return usage("'" + std::string(name) + "' wants a number from " + std::to_string(low) +
                     " to " + std::to_string(high));
    out = *number;
    return {};
}

Status take_time(std::string_view name, std::string_view value, Duration& out) {
    const auto time = parse_duration(value);
    if (!time) return usage("'" + std::string(name) + "' wants a time such as 20min");
    out = *time;
    return {};
}

Status take(std::string_view name, std::string_view value, Options& options) {
    WorldSpec& world = options.world;
    if (name == "--seed") return take_number<std::uint64_t>(name, value, 0, UINT32_MAX, world.seed);
    if (name == "--count")
        return take_number<std::uint64_t>(name, value, 1, 1'000'000, options.count);
    if (name == "--nodes") return take_number(name, value, 10U, 1'000'000U, world.nodes);
    if (name == "--lan") return take_number(name, value, 2U, 100U, world.lan_nodes);
    if (name == "--regions") return take_number(name, value, 1U, 20U, world.regions);
    if (name == "--lighthouses") return take_number(name, value, 1U, 16U, world.lighthouses);
    if (name == "--liars") return take_number(name, value, 0U, 90U, world.liars_percent);
    if (name == "--stale") return take_number(name, value, 0U, 100U, world.stale_percent);
    if (name == "--settle") return take_time(name, value, options.settle);
    if (name == "--rest") return take_time(name, value, options.rest);
    if (name == "--draw") {
        options.draw = value;
        return {};
    }
    return usage("'" + std::string(name) + "' is not understood");
}

}  // namespace

Result<Options> parse_options(std::span<const std::string_view> words) {
    Options options;
    if (words.empty()) return usage("no command is given");
    bool known = false;
    for (const auto& [name, command] : commands)
        if (words[0] == name) {
            options.command = command;
            known = true;
        }
    if (!known) return usage("there is no command '" + std::string(words[0]) + "'");
    for (std::size_t i = 1; i < words.size(); i += 2) {
        if (i + 1 == words.size()) return usage("'" + std::string(words[i]) + "' needs a value");
        TRY(take(words[i], words[i + 1], options));
    }
    return options;
}

}  // namespace fortros::meshsim
