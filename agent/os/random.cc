#include "os/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdint>

#include "os/loop.h"

namespace fortros {

Status wait_for_entropy(Log& log, GetRandom getrandom) {
    if (!getrandom) getrandom = ::getrandom;
    std::uint8_t byte = 0;
    if (getrandom(&byte, 1, GRND_NONBLOCK) == 1) return {};

    if (errno == EAGAIN) {
        log.write({.level = Level::Notice,
                   .event = "entropy-wait",
                   .message = "waiting for the kernel to gather randomness; a virtual machine "
                              "needs a virtio-rng device for this to be quick"});
        const Instant began = monotonic_now();
        ssize_t count = 0;
        do count = getrandom(&byte, 1, 0);
        while (count < 0 && errno == EINTR);
        if (count == 1) {
            const Duration waited = monotonic_now() - began;
            log.write({.event = "entropy-ready",
                       .message = "the kernel has gathered randomness, " + to_text(waited),
                       .fields = {{"waited_ms", milliseconds_of(waited)}}});
            return {};
        }
    }
    return fail_errno(errno, "the kernel gives no random numbers");
}

void KernelRandom::fill(std::span<std::uint8_t> bytes) {
    while (!bytes.empty()) {
        ssize_t count = ::getrandom(bytes.data(), bytes.size(), 0);
        if (count < 0 && errno == EINTR) continue;
        ASSERT(count > 0);  // wait_for_entropy() has asked whether there are any
        bytes = bytes.subspan(static_cast<std::size_t>(count));
    }
}

}  // namespace fortros
