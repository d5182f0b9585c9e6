// Bytes from a gateway as an HTTP answer: it must not matter how TCP has cut them.
#include <algorithm>

#include "core/http.h"

using namespace fortros;

namespace {

struct Outcome {
    bool failed = false;
    std::optional<HttpAnswer> answer;
};

Outcome feed(ByteView bytes, std::size_t step) {
    HttpAnswerParser parser;
    Outcome outcome;
    while (!bytes.empty() && !outcome.failed) {
        const ByteView piece = bytes.first(std::min(step, bytes.size()));
        bytes = bytes.subspan(piece.size());
        auto answer = parser.feed(piece);
        outcome.failed = !answer;
        if (answer && *answer) outcome.answer = std::move(*answer);
    }
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const Outcome whole = feed({data, size}, SIZE_MAX);
    for (std::size_t step : {1, 3, 1000}) {
        const Outcome cut = feed({data, size}, step);
        ASSERT(cut.failed == whole.failed);
        if (cut.failed) continue;
        ASSERT(cut.answer.has_value() == whole.answer.has_value());
        if (!cut.answer) continue;
        ASSERT(cut.answer->status == whole.answer->status);
        ASSERT(cut.answer->headers == whole.answer->headers);
        ASSERT(cut.answer->body == whole.answer->body);
        ASSERT(cut.answer->body.size() <= http_answer_limit);
        retry_after_of(*cut.answer);
    }
    return 0;
}
