#include "gateway/settings_template.h"

#include "gateway/registry.h"

namespace fortros::gateway {

static constexpr std::string_view before_endpoints =
    R"(# The settings of fortros-gateway: what is commented out is the default. Files are named relative to
# the folder of this one. README.md of FortrOS has all about them.

[Gateway]
# Default: GatewayName= of the org file.
#Name=
# Where nodes come in; [::] is IPv4 as well.
#Listen=[::]:443
#Certificate=gateway.pem
#CertificateKey=gateway.key
#CA=ca.pem
#OrgFile=org.conf
#SignerCertificate=signer.pem
#SignerKey=signer.key
# The registry in SQLite.
#Database=/var/lib/fortros/gateway.db

# The registry in a cluster of etcd instead, for several gateways of one org.
#[Etcd]
#Endpoints=https://192.0.2.1:2379 https://192.0.2.2:2379 https://192.0.2.3:2379
#CA=etcd-ca.pem
#Certificate=etcd.pem
#CertificateKey=etcd.key
#Prefix=/fortros

[WireGuard]
# The addresses and ports at which nodes reach this gateway's WireGuard, the best first.
Endpoints=)";

static constexpr std::string_view after_endpoints = R"(
#PrivateKey=wireguard.key
#ListenPort=51820
#MTU=1420
# What nodes are told for their NATs; 0: none.
#Keepalive=25
# nftables, or none.
#Guard=nftables
# Whether nodes may talk to each other through this host, which forwards IPv6 then.
#Relay=yes

# While the WireGuard key is rotated: the one before.
#[PreviousWireGuard]
#PrivateKey=previous.key
#ListenPort=51819

[Invites]
#DefaultLifetime=7d
# Which need an admin's word for each newcomer: yes, no, or those with several-uses.
#Approval=several-uses
)";

std::string settings_template(const std::vector<Endpoint>& endpoints) {
    return std::string(before_endpoints) + text_of(endpoints) + std::string(after_endpoints);
}

}  // namespace fortros::gateway
