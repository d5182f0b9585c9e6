// What the Serf agent of the node says, in portions: the first byte says how large.
#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "core/attestation.h"
#include "maintainer/serf_conversation.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    if (size == 0) return 0;
    const std::size_t portion = std::size_t{data[0]} + 1;
    ByteView rest(data + 1, size - 1);
    SerfConversation conversation;
    (void)conversation.begin("password");
    (void)conversation.ask_coordinate({});
    (void)conversation.join({});
    while (!rest.empty()) {
        const auto some = rest.first(std::min(portion, rest.size()));
        const auto heard = conversation.hear(some);
        if (!heard) break;
        for (const auto& item : *heard) {
            const auto* members = std::get_if<SerfMembersHeard>(&item);
            if (members == nullptr) continue;
            for (const auto& member : members->members)
                ASSERT(member.attestation.size() == attestation_size);
        }
        rest = rest.subspan(some.size());
    }
    return 0;
}
