#include "core/adopted_resolvers.h"

#include <algorithm>
#include <array>
#include <optional>

#include "base/text.h"

namespace fortros {

static constexpr std::string_view resolv_conf_key = "nameserver";
static constexpr std::array<std::string_view, 5> keys = {
    "DNS",
    "domain_name_servers",
    "new_domain_name_servers",
    "dhcp6_name_servers",
    "new_dhcp6_name_servers",
};

// NetworkManager writes the group before the key once more: "dhcp4.domain_name_servers".
static std::string_view without_group(std::string_view key) {
    for (const std::string_view group : {"dhcp4.", "dhcp6."})
        if (key.starts_with(group)) return key.substr(group.size());
    return key;
}

// IPV4DNS0, IPV6DNS1, ...
static bool is_numbered_key(std::string_view key) {
    return (key.starts_with("IPV4DNS") || key.starts_with("IPV6DNS")) &&
           parse_number<unsigned>(key.substr(7)).has_value();
}

static std::string_view unquoted(std::string_view value) {
    if (value.size() >= 2 && (value.front() == '\'' || value.front() == '"') &&
        value.back() == value.front())
        return value.substr(1, value.size() - 2);
    return value;
}

// An address as these files write it; systemd may add a port, an interface and a name to it:
// "[2001:db8::53]:53%eth0#resolver.example".
static std::optional<IpAddress> parse_address(std::string_view word) {
    word = word.substr(0, word.find_first_of("%#"));
    if (const auto address = IpAddress::parse(word)) return address;
    const auto endpoint = Endpoint::parse(word);
    return endpoint ? std::optional{endpoint->address} : std::nullopt;
}

static bool is_host(const IpAddress& address) {
    return !address.is_unspecified() && !address.is_loopback() && !address.is_multicast();
}

static void add(std::vector<IpAddress>& resolvers, std::string_view value) {
    for (const std::string_view word : words_of(value)) {
        const auto address = parse_address(word);
        if (!address || !is_host(*address) || resolvers.size() == adopted_resolvers_limit) continue;
        if (std::ranges::find(resolvers, *address) == resolvers.end())
            resolvers.push_back(*address);
    }
}

std::vector<IpAddress> parse_adopted_resolvers(std::string_view text) {
    std::vector<IpAddress> resolvers;
    for (std::string_view line : split(text.substr(0, adopted_text_limit), '\n')) {
        line = trim(line);
        // "KEY=VALUE", or "nameserver VALUE".
        const std::size_t end = line.find_first_of("= \t");
        if (end == std::string_view::npos) continue;
        const std::string_view key = without_group(line.substr(0, end));
        const bool counts = line[end] == '='
                                ? std::ranges::find(keys, key) != keys.end() || is_numbered_key(key)
                                : key == resolv_conf_key;
        if (counts) add(resolvers, unquoted(trim(line.substr(end + 1))));
    }
    return resolvers;
}

}  // namespace fortros
