// The kernel's random numbers, getrandom(2). Nothing of ours stretches or stores them.
#pragma once

#include <sys/types.h>

#include "base/log.h"
#include "base/random.h"
#include "base/result.h"

namespace fortros {

// Waits until the kernel's generator has been seeded, and says in the log that it waits and how
// long it took: a guest without virtio-rng may sit here for a while, and looks hung if nobody says
// why. Call it before crypto::initialise() and before the first key. `getrandom` is for tests.
using GetRandom = ssize_t (*)(void* bytes, std::size_t size, unsigned flags);
Status wait_for_entropy(Log& log, GetRandom getrandom = nullptr);

// Blocks until the generator is seeded; ends the program if the kernel has none.
class KernelRandom final : public Random {
public:
    void fill(std::span<std::uint8_t> bytes) override;
};

}  // namespace fortros
