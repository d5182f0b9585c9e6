// fortros-meshsim: judges the mesh in worlds made from seeds.
#include <cinttypes>
#include <cstdio>
#include <vector>

#include "core/crypto.h"
#include "meshsim/drawing.h"
#include "meshsim/faults.h"
#include "meshsim/figures.h"
#include "meshsim/options.h"

namespace fortros::meshsim {

namespace {

void print(const std::string& text) { std::fwrite(text.data(), 1, text.size(), stdout); }

bool write_file(const std::string& path, const std::string& text) {
    std::FILE* file = std::fopen(path.c_str(), "wb");
    const bool opened = file != nullptr;
    const bool written = opened && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    const bool closed = opened && std::fclose(file) == 0;
    if (!written || !closed)
        std::fprintf(stderr, "fortros-meshsim: cannot write %s\n", path.c_str());
    return written && closed;
}

std::int64_t seconds_of(Duration time) {
    return std::chrono::duration_cast<std::chrono::seconds>(time).count();
}

int tell(std::uint64_t seed, const FaultOutcome& outcome) {
    std::printf("%" PRIu64 " %zu %" PRId64 " %" PRIu64 " %" PRIu64 " %zu\n", seed, outcome.live,
                seconds_of(outcome.converged), outcome.changes, outcome.changes_at_rest,
                outcome.liars);
    for (const auto& problem : outcome.problems)
        std::printf("seed %" PRIu64 ": %s\n", seed, problem.c_str());
    std::fflush(stdout);
    return outcome.problems.empty() ? 0 : 1;
}

int faults(const Options& options) {
    int status = 0;
    for (std::uint64_t i = 0; i < options.count; ++i) {
        const std::uint64_t seed = options.world.seed + i;
        const FaultOutcome outcome =
            run_fault_world({.seed = seed, .nodes = options.world.nodes, .rest = options.rest});
        if (tell(seed, outcome) != 0) status = 1;
    }
    return status;
}

// What is drawn begins before the faults and ends when all must have healed (faults.h).
constexpr Duration run_begin = 8min - 1s;
constexpr Duration run_end = 60min;

int run(const Options& options) {
    std::unique_ptr<Recorder> recorder;
    std::string map_before;
    std::string map_after;
    const auto watch = [&](Simulation& simulation) {
        print(text_of(simulation.world()));
        recorder = std::make_unique<Recorder>(simulation, 15s, Instant{} + run_end);
        if (options.draw.empty()) return;
        simulation.at(Instant{} + run_begin,
                      [&] { map_before = draw_map(simulation, "Before anything goes wrong"); });
        simulation.at(Instant{} + run_end,
                      [&] { map_after = draw_map(simulation, "After all has healed"); });
    };
    const FaultOutcome outcome = run_fault_world(
        {.seed = options.world.seed, .nodes = options.world.nodes, .rest = options.rest}, watch);
    for (const auto& what : outcome.faults) print(what + "\n");
    print("\n    time  live  LAN  scored  lighthouses  changes  unanswered\n");
    for (std::size_t i = 3; i < recorder->measures().size(); i += 4) {
        const Measure& m = recorder->measures()[i];
        std::printf("%6" PRId64 " s %5zu %4.1f %7.1f %12.1f %8" PRIu64 " %9.2f %%\n",
                    seconds_of(m.at - Instant{}), m.live, m.lan_links, m.scored_links,
                    m.lighthouses, m.changes, m.unanswered * 100);
    }
    print("\nseed, live, seconds to converge, link changes, at rest:\n");
    const int status = tell(options.world.seed, outcome);
    if (options.draw.empty()) return status;
    const std::string title = "A world of faults, seed " + std::to_string(options.world.seed);
    const bool written = write_file(options.draw + "/before.svg", map_before) &&
                         write_file(options.draw + "/after.svg", map_after) &&
                         write_file(options.draw + "/measures.svg",
                                    draw_measures(recorder->measures(), outcome.faults, title));
    return written ? status : 1;
}

int figure(const Options& options, Json (*measure)(const FigureSpec&)) {
    bool written = true;
    FigureSpec spec{.world = options.world, .settle = options.settle};
    if (!options.draw.empty())
        spec.draw = [&](const std::string& name, const std::string& svg) {
            written = write_file(options.draw + "/" + name + ".svg", svg) && written;
        };
    print(measure(spec).dump() + "\n");
    return written ? 0 : 1;
}

int meshsim_main(std::span<const std::string_view> words) {
    const auto options = parse_options(words);
    if (!options) {
        std::fprintf(stderr, "fortros-meshsim: %s\n", options.error().text().c_str());
        return 2;
    }
    if (const auto ready = crypto::initialise(); !ready) {
        std::fprintf(stderr, "fortros-meshsim: %s\n", ready.error().text().c_str());
        return 1;
    }
    switch (options->command) {
        case Options::Command::Help: print(std::string(meshsim_help)); return 0;
        case Options::Command::Version: print("fortros-meshsim " FORTROS_VERSION "\n"); return 0;
        case Options::Command::World: print(text_of(make_world(options->world))); return 0;
        case Options::Command::Run: return run(*options);
        case Options::Command::Faults: return faults(*options);
        case Options::Command::Quality: return figure(*options, measure_quality);
        case Options::Command::DeadLinks: return figure(*options, measure_dead_links);
        case Options::Command::Idle: return figure(*options, measure_idle);
    }
    return 2;
}

}  // namespace

}  // namespace fortros::meshsim

int main(int count, char** arguments) {
    const std::vector<std::string_view> words(arguments + 1, arguments + count);
    return fortros::meshsim::meshsim_main(words);
}
