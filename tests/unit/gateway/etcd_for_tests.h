// The etcd cluster that tests may use: FORTROS_ETCD names its members, "http://127.0.0.1:2379 ...".
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <optional>
#include <string>

#include "base/text.h"
#include "gateway/etcd_registry.h"

namespace fortros::gateway {

// Where nobody has written yet; nothing if there is no cluster.
inline std::optional<EtcdSettings> empty_registry_in_etcd() {
    static unsigned number = 0;
    const char* members = std::getenv("FORTROS_ETCD");
    if (members == nullptr) return std::nullopt;
    EtcdSettings settings;
    for (auto member : words_of(members)) {
        member.remove_prefix(std::string_view("http://").size());
        settings.endpoints.push_back({EtcdTransport::Plain, *Endpoint::parse(member)});
    }
    settings.prefix = "/test/" + std::to_string(::getpid()) + "/" + std::to_string(++number);
    return settings;
}

}  // namespace fortros::gateway
