// Boots in random worlds, in virtual time: a line for each world, for discovery.py to count.
//
//   discovery-worlds FIRST COUNT   the worlds of the seeds FIRST to FIRST + COUNT - 1
//   discovery-worlds --seed N      one world: what is in it, and everything that happens
//
// A line: seed, exit status, milliseconds of the whole boot, of the search from the first link to
// the join ("-": none), of the search at most where a join was due ("-": it was not), whether the way
// was there from the start or came later, and what became of the overlay from the remembered set.
// Ends with 1 when something was not as it must be, which is told on standard error.
#include <cinttypes>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "sim/discovery_judge.h"

namespace fortros::sim {

static std::string milliseconds(std::optional<Duration> duration) {
    return duration ? std::to_string(duration->count() / 1000) : "-";
}

static const char* text_of(Outcome::Remembered remembered) {
    switch (remembered) {
        case Outcome::Remembered::No: break;
        case Outcome::Remembered::Up: return "up";
        case Outcome::Remembered::HandedOff: return "handed-off";
    }
    return "-";
}

static void report_problems(std::uint64_t seed, const Outcome& outcome) {
    for (const auto& problem : outcome.problems)
        std::fprintf(stderr, "seed %" PRIu64 ": %s\n", seed, problem.c_str());
}

static int run_many(std::uint64_t first, std::uint64_t count) {
    const fakes::FakeSigner signer;
    bool good = true;
    for (std::uint64_t seed = first; seed < first + count; ++seed) {
        const Outcome outcome = run_discovery_world(seed, signer);
        const Expectation& expected = outcome.expected;
        std::optional<Duration> allowance;
        if (expected.due) allowance = *expected.due - *expected.first_link;
        const char* way = expected.due ? expected.from_the_start ? "start" : "later" : "-";
        std::printf("%" PRIu64 " %s %s %s %s %s %s\n", seed,
                    std::string(name_of(outcome.status)).c_str(),
                    milliseconds(outcome.took).c_str(), milliseconds(outcome.search).c_str(),
                    milliseconds(allowance).c_str(), way, text_of(outcome.remembered));
        report_problems(seed, outcome);
        good = good && outcome.problems.empty();
    }
    return good ? 0 : 1;
}

static int replay(std::uint64_t seed) {
    const fakes::FakeSigner signer;
    const RandomWorld before(seed, signer);
    const Expectation expected = expect(before);
    std::printf("the world of seed %" PRIu64 ":\n%s", seed, before.text().c_str());
    std::printf("allowed: %s\nround at most %s, pause at most %s\n",
                expected.allowed.text().c_str(), to_text(expected.round).c_str(),
                to_text(expected.pause).c_str());
    if (expected.due)
        std::printf("due by %s: %s\n", to_text(*expected.due - Instant{}).c_str(),
                    expected.path.c_str());
    else
        std::printf("no join is due\n");
    const Outcome outcome = run_discovery_world(
        seed, signer, [](const std::string& line) { std::printf("%s\n", line.c_str()); });
    std::printf("ended after %s as %s\n", to_text(outcome.took).c_str(),
                std::string(name_of(outcome.status)).c_str());
    std::fflush(stdout);
    report_problems(seed, outcome);
    return outcome.problems.empty() ? 0 : 1;
}

static int sim_main(int count, char** arguments) {
    const auto number = [&](int i) { return std::strtoull(arguments[i], nullptr, 10); };
    if (count == 3 && std::string_view(arguments[1]) == "--seed") return replay(number(2));
    if (count == 3) return run_many(number(1), number(2));
    std::fputs("usage: discovery-worlds FIRST COUNT | --seed N\n", stderr);
    return 2;
}

}  // namespace fortros::sim

int main(int count, char** arguments) { return fortros::sim::sim_main(count, arguments); }
