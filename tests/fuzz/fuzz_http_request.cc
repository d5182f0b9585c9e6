// Bytes from a node as HTTP requests: it must not matter how TCP has cut them, and nothing that is
// larger than allowed is taken.
//
// A stream that ends within a head that is too large is refused as soon as it is; so every stream
// here is made to have an end, and then the verdict must be one.
#include "gateway/http_request_reader.h"

#include <algorithm>
#include <string_view>
#include <vector>

#include "base/text.h"

using namespace fortros;
using namespace fortros::gateway;

namespace {

constexpr std::size_t head_limit = 1024;
constexpr std::size_t body_limit = 512;
constexpr std::size_t requests_limit = 64;

// What came of a stream: the requests, and the status that ended it, 0 for none.
struct Outcome {
    std::vector<std::string> requests;
    int refused = 0;

    bool operator==(const Outcome&) const = default;
};

// Takes what there is; false when no more will come.
bool take(HttpRequestReader& reader, Outcome& outcome) {
    while (outcome.requests.size() < requests_limit) {
        auto next = reader.next();
        if (std::holds_alternative<HttpRequestReader::NeedMore>(next)) return true;
        if (const auto* refused = std::get_if<HttpRequestReader::Refused>(&next)) {
            ASSERT(!refused->why.empty());
            outcome.refused = refused->status;
            return false;
        }
        const auto& whole = std::get<HttpRequestReader::Whole>(next);
        ASSERT(whole.request.body.size() <= body_limit);
        std::string text = whole.request.method + ' ' + whole.request.target + '\n';
        for (const auto& [name, value] : whole.request.headers) {
            ASSERT(name == to_lower(name));
            text += name + ':' + value + '\n';
        }
        outcome.requests.push_back(text + std::string(whole.request.body.text()));
        if (!whole.keep_alive) return false;
    }
    return false;
}

Outcome feed(ByteView bytes, std::size_t step) {
    HttpRequestReader reader(head_limit, body_limit);
    Outcome outcome;
    while (!bytes.empty()) {
        const ByteView piece = bytes.first(std::min(step, bytes.size()));
        bytes = bytes.subspan(piece.size());
        reader.append(piece);
        if (!take(reader, outcome)) break;
    }
    return outcome;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    std::vector<std::uint8_t> bytes(data, data + size);
    for (const char byte : std::string_view("\r\n\r\n")) bytes.push_back(byte);
    const Outcome whole = feed(bytes, SIZE_MAX);
    for (const std::size_t step : {1, 7, 300}) {
        const Outcome cut = feed(bytes, step);
        ASSERT(cut == whole);
    }
    return 0;
}
