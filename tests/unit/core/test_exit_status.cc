#include "core/exit_status.h"

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace fortros;

static constexpr int last_status = 18;

// Units and scripts of operators branch on these numbers and names.
TEST_CASE("every status has its number, a name of its own and an explanation") {
    static constexpr std::string_view names[] = {"joined",
                                                 "internal",
                                                 "usage",
                                                 "settings-invalid",
                                                 "trust-anchor-invalid",
                                                 "invite-missing",
                                                 "no-link",
                                                 "no-gateway",
                                                 "gateway-untrusted",
                                                 "refused",
                                                 "revoked",
                                                 "approval-pending",
                                                 "key-store-failed",
                                                 "overlay-failed",
                                                 "no-handshake",
                                                 "hand-off-failed",
                                                 "policy-lost",
                                                 "gateway-busy",
                                                 "forbidden-call"};
    static_assert(std::size(names) == last_status + 1);
    std::set<std::string_view> explanations;
    for (int number = 0; number <= last_status; ++number) {
        const auto status = static_cast<ExitStatus>(number);
        CAPTURE(number);
        CHECK(name_of(status) == names[number]);
        CHECK(explain(status).ends_with('.'));
        CHECK(explanations.insert(explain(status)).second);
    }
}
