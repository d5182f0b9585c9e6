#include "gateway/exchange.h"

namespace fortros::gateway {

const std::string* Request::header(std::string_view lower_case_name) const {
    const std::string* found = nullptr;
    for (const auto& [name, value] : headers) {
        if (name != lower_case_name) continue;
        if (found != nullptr) return nullptr;
        found = &value;
    }
    return found;
}

}  // namespace fortros::gateway
