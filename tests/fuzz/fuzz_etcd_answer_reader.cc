// Bytes from etcd as an HTTP answer, whole or line by line: it must not matter how TCP has cut them.
#include "gateway/etcd_answer_reader.h"

#include <algorithm>
#include <vector>

#include "base/bytes.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

struct Outcome {
    bool failed = false;
    bool whole = false;
    int status = 0;
    std::string body;
    std::vector<std::string> lines;

    bool operator==(const Outcome&) const = default;
};

Outcome feed(ByteView bytes, std::size_t step, bool by_lines) {
    EtcdAnswerReader reader;
    Outcome outcome;
    while (!bytes.empty() && !outcome.failed) {
        const ByteView piece = bytes.first(std::min(step, bytes.size()));
        bytes = bytes.subspan(piece.size());
        outcome.failed = !reader.feed(piece).has_value();
        while (by_lines && !outcome.failed) {
            auto line = reader.take_line();
            if (!line) break;
            outcome.lines.push_back(std::move(*line));
        }
    }
    // How far a faulty stream was taken depends on where it was cut.
    if (outcome.failed) return {.failed = true};
    outcome.whole = reader.is_whole();
    outcome.status = reader.status();
    outcome.body = reader.body();
    return outcome;
}

}  // namespace

// Beast refuses a faulty head sooner or later, by how it was cut; but nothing that is refused in one
// way may be a whole answer in the other.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    for (const bool by_lines : {false, true}) {
        const Outcome whole = feed({data, size}, SIZE_MAX, by_lines);
        for (const std::size_t step : {1, 7, 300}) {
            const Outcome cut = feed({data, size}, step, by_lines);
            if (cut.failed || whole.failed)
                ASSERT(!cut.whole && !whole.whole);
            else
                ASSERT(cut == whole);
            ASSERT(cut.body.size() <= size);
        }
    }
    return 0;
}
