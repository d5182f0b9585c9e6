// Where the etcd cluster is that holds the registry, and what proves it. Values only.
#pragma once

#include <string>
#include <vector>

#include "core/address.h"

namespace fortros::gateway {

enum class EtcdTransport { Plain, Tls };

struct EtcdEndpoint {
    EtcdTransport transport = EtcdTransport::Tls;
    Endpoint endpoint;

    std::string text() const {
        return (transport == EtcdTransport::Tls ? "https://" : "http://") + endpoint.text();
    }
    bool operator==(const EtcdEndpoint&) const = default;
};

struct EtcdSettings {
    std::vector<EtcdEndpoint> endpoints{};  // Endpoints=, members of one cluster; empty: no etcd
    std::string ca{};                       // CA=, of the members' certificates
    std::string certificate{};              // Certificate=, ours for them; empty: none
    std::string certificate_key{};          // CertificateKey=
    std::string prefix = "/fortros";        // Prefix=, of all keys
};

}  // namespace fortros::gateway
