// The hardware address of an Ethernet link (EUI-48), and how people write it. It never names a link
// for good: an administrator may change it, and only one link at a time is meant by it.
#pragma once

#include <cstddef>
#include <string>

#include "base/bytes.h"

namespace fortros {

using MacAddress = ByteArray<6>;

// "52:54:00:12:34:56".
inline std::string to_text(const MacAddress& mac) {
    static constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (const std::uint8_t byte : mac) {
        if (!text.empty()) text += ':';
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

}  // namespace fortros
