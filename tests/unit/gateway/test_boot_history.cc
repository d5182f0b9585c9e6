// Machines that reboot, and two that share a key.
#include "gateway/boot_history.h"

#include <doctest/doctest.h>

using namespace fortros::gateway;
using Sight = BootHistory::Sight;

// An admin would be told of a clone at every reboot.
TEST_CASE("boot history: one machine that reboots is one machine") {
    BootHistory boots;
    CHECK(boots.see("a") == Sight::First);
    CHECK(boots.see("a") == Sight::Same);
    for (const char* boot : {"b", "c", "d", "e", "f", "g"}) {
        CHECK(boots.see(boot) == Sight::New);
        CHECK(boots.see(boot) == Sight::Same);
    }
}

// Two copies of one disk would take the tunnel from each other, and nobody would know why.
TEST_CASE("boot history: a boot that comes back shows two machines") {
    BootHistory boots;
    boots.see("a");
    boots.see("b");
    CHECK(boots.see("a") == Sight::Returned);
    CHECK(boots.see("a") == Sight::Same);
    CHECK(boots.see("b") == Sight::Returned);
    CHECK(boots.see("c") == Sight::New);
    CHECK(boots.see("a") == Sight::Returned);
}
