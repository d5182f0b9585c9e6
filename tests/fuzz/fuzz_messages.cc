// Bodies of the enrolment protocol, from a node and from a gateway: what is read means the same when
// it is written and read again.
#include "base/bytes.h"
#include "core/messages.h"

using namespace fortros;

static void read_request(std::string_view text) {
    const auto request = parse_node_request(text);
    if (!request) return;
    const std::string written = to_json_text(*request);
    const auto again = parse_node_request(written);
    ASSERT(again && again->sealed_invite == request->sealed_invite);
    ASSERT(again->hostname == request->hostname && again->boot_id == request->boot_id);
    ASSERT(to_json_text(*again) == written);
}

static void read_answer(std::string_view text) {
    const auto answer = parse_membership_answer(text);
    if (!answer) return;
    ASSERT(answer->peers.size() <= answer_peers_limit && answer->signers.size() <= signers_limit);
    const std::string written = to_json_text(*answer);
    if (written.size() > http_answer_limit) return;
    const auto again = parse_membership_answer(written);
    ASSERT(again && to_json_text(*again) == written);
}

static void read_refusal(std::string_view text) {
    for (const int status : {202, 400, 401, 403, 409, 429, 503}) {
        const Refusal refusal = parse_refusal(status, text);
        const Refusal again = parse_refusal(status_of(refusal.code), to_json_text(refusal));
        ASSERT(again.code == refusal.code && again.message == refusal.message);
    }
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    read_request(text);
    read_answer(text);
    read_refusal(text);
    return 0;
}
