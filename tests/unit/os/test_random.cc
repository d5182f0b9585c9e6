#include "os/random.h"

#include <doctest/doctest.h>
#include <sys/random.h>

#include <algorithm>
#include <cerrno>
#include <vector>

using namespace fortros;

namespace {

struct CollectedLog final : Log {
    void write(const LogEntry& entry) override { entries.push_back(entry); }
    std::vector<LogEntry> entries;
};

// A kernel whose generator is not seeded yet, and one that has none.
ssize_t unseeded(void*, std::size_t size, unsigned flags) {
    static int interruptions;
    if (flags & GRND_NONBLOCK) {
        interruptions = 2;
        errno = EAGAIN;
        return -1;
    }
    if (interruptions-- > 0) {
        errno = EINTR;
        return -1;
    }
    return static_cast<ssize_t>(size);
}

ssize_t missing(void*, std::size_t, unsigned) {
    errno = ENOSYS;
    return -1;
}

}  // namespace

// Keys of all nodes would be alike.
TEST_CASE("random: the kernel fills every byte, each time differently") {
    KernelRandom random;
    ByteArray<64> first{}, second{};
    random.fill(first);
    random.fill(second);
    CHECK(first != second);
    CHECK(std::ranges::count(first, 0) < 8);
    CHECK(std::ranges::count(std::span(first).last(16), 0) < 8);
    random.fill({});
}

// Every boot would begin with a line about nothing.
TEST_CASE("random: a seeded generator is not talked about") {
    CollectedLog log;
    CHECK(wait_for_entropy(log).has_value());
    CHECK(log.entries.empty());
}

// The machine would look hung, and nobody would know that it needs a virtio-rng device.
TEST_CASE("random: waiting for the kernel's generator is announced and its end told") {
    CollectedLog log;
    CHECK(wait_for_entropy(log, unseeded).has_value());
    REQUIRE(log.entries.size() == 2);
    CHECK(log.entries[0].event == "entropy-wait");
    CHECK(log.entries[0].message.find("virtio-rng") != std::string::npos);
    CHECK(log.entries[1].event == "entropy-ready");
}

// The program would go on with keys made of zeros.
TEST_CASE("random: a kernel without a generator is an error") {
    CollectedLog log;
    auto ready = wait_for_entropy(log, missing);
    REQUIRE_FALSE(ready.has_value());
    CHECK(ready.error().code == ErrorCode::Unsupported);
}
