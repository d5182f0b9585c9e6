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
    static_assert(exit_status_count == last_status + 1);
    std::set<std::string> explanations;
    for (int number = 0; number <= last_status; ++number) {
        const auto status = static_cast<ExitStatus>(number);
        CAPTURE(number);
        CHECK(name_of(status) == names[number]);
        CHECK(explain(status).ends_with('.'));
        CHECK(explanations.insert(explain(status)).second);
        const Explanation explanation = explanation_of(status);
        CHECK(explanation.what.ends_with('.'));
        CHECK(explanation.look.ends_with('.'));
        CHECK(explanation.act.ends_with('.'));
        CHECK(exit_status_from(names[number]) == status);
        CHECK(exit_status_from(std::to_string(number)) == status);
    }
}

// Who asks for a status that there is not must not be told of another one.
TEST_CASE("what is no status is none") {
    for (const char* text : {"", "19", "-1", "07", "1 ", "Joined", "no gateway"})
        CHECK(!exit_status_from(text));
}
