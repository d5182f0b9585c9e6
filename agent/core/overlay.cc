#include "core/overlay.h"

#include <algorithm>
#include <string_view>

#include "core/crypto.h"

namespace fortros {

static constexpr std::string_view domain = "fortros/overlay-address/v1";
static constexpr std::size_t prefix_bytes = 6;
static constexpr std::uint8_t prefix_bits = 48;

std::optional<OrgPrefix> OrgPrefix::from_bytes(ByteView bytes) {
    if (bytes.size() != prefix_bytes || bytes[0] != 0xfd) return std::nullopt;
    OrgPrefix prefix;
    std::ranges::copy(bytes, prefix.bytes.begin());
    return prefix;
}

std::optional<OrgPrefix> OrgPrefix::parse(std::string_view text) {
    auto network = IpNetwork::parse(text);
    if (!network || network->address.is_v4() || network->length != prefix_bits ||
        *network != network->network())
        return std::nullopt;
    return from_bytes(network->address.bytes().first(prefix_bytes));
}

IpNetwork OrgPrefix::network() const {
    ByteArray<16> address{};
    std::ranges::copy(bytes, address.begin());
    return {IpAddress::v6(address), prefix_bits};
}

std::string OrgPrefix::text() const { return network().text(); }

IpAddress overlay_address(const OrgPrefix& prefix, const PublicKey& key) {
    static constexpr std::uint8_t zero[] = {0};
    const auto digest = crypto::sha256({as_bytes(domain), zero, prefix.bytes, key.bytes});
    ByteArray<16> address{};
    std::ranges::copy(prefix.bytes, address.begin());
    std::copy_n(digest.begin(), address.size() - prefix_bytes, address.begin() + prefix_bytes);
    return IpAddress::v6(address);
}

bool is_reserved(const IpAddress& overlay_address) {
    const ByteView bytes = overlay_address.bytes();
    if (bytes.size() != 16) return true;
    const ByteView subnet_and_interface = bytes.subspan(prefix_bytes);
    if (std::ranges::all_of(subnet_and_interface, [](auto byte) { return byte == 0; })) return true;
    // RFC 5453: fdff:ffff:ffff:ff80 to fdff:ffff:ffff:ffff, in any subnet.
    const ByteView interface = bytes.subspan(8);
    return interface[0] == 0xfd &&
           std::ranges::all_of(interface.subspan(1, 6), [](auto byte) { return byte == 0xff; }) &&
           interface[7] >= 0x80;
}

}  // namespace fortros
