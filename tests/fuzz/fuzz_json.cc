// Bytes from a gateway or a node as JSON: what parses must be written back as the same value, and
// any string must be written as JSON.
#include <string>

#include "base/bytes.h"
#include "core/json.h"

using namespace fortros;

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
    const std::string_view text = as_text({data, size});
    const JsonLimits wide{.bytes = SIZE_MAX};  // what is written may be longer than what was read
    if (const auto json = Json::parse(text)) {
        const auto again = Json::parse(json->dump(), wide);
        ASSERT(again && *again == *json);
        const auto indented = Json::parse(json->dump(2), wide);
        ASSERT(indented && *indented == *json);
    }
    const auto quoted = Json::parse(Json(text).dump(), wide);
    ASSERT(quoted && quoted->string() != nullptr);
    return 0;
}
