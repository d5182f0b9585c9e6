// What the gateway proves itself with: its certificate and keys, loaded and held against each other
// before anything is served. It never prints a key, and refuses what nodes would refuse.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "base/secret.h"
#include "base/time.h"
#include "core/key.h"
#include "gateway/backbone.h"
#include "gateway/certificate.h"
#include "gateway/settings.h"
#include "gateway/signer.h"

namespace fortros::gateway {

// A certificate's dates, to be watched for as long as the gateway runs.
struct Validity {
    std::string file;
    std::string remedy;  // what renews it
    WallTime not_before{};
    WallTime not_after{};
    bool is_needed = true;  // at any time: nobody can be served with another
};

enum class ValidityState { Good, DueForRenewal, Expired, NotYetValid };

// Due when a third of its life is left, or four months of a long one.
ValidityState state_of(const Validity& validity, WallTime now);
// "'/etc/fortros/gateway.pem' expires at ...: renew it with ...".
std::string describe(const Validity& validity, WallTime now);

// A WireGuard key that no certificate names any more.
struct PreviousKey {
    PrivateKey key{};
    PublicKey public_key;
};

struct Credentials {
    Certificates anchors{};  // the org's CAs
    Certificates chain{};    // the leaf first
    OpenSsl<EVP_PKEY> key{};
    PrivateKey wireguard_key{};
    PublicKey wireguard_public;
    std::optional<PreviousKey> previous{};
    std::unique_ptr<AttestationSigner> signer{};
    std::vector<Validity> validities{};
    std::vector<std::string> warnings{};  // what is allowed and unwise
};

// Untrusted or InvalidData, naming the file, where something is missing, unreadable or does not
// fit: the leaf is not what certs/ issues for this gateway name, its WireGuard URI is not the key's,
// a private key is not its certificate's, a chain does not end at the CA, the previous WireGuard key
// is the current one. Dates are not judged.
Result<Credentials> load_credentials(const GatewaySettings& settings);

// What the org's CA says of another gateway that shows this chain (DER, the leaf first). Untrusted if
// nothing, as for one's own; dates are told and not judged.
Result<Vouched> read_vouched(const std::vector<Bytes>& chain, const Certificates& anchors,
                             const std::string& gateway_name);

// Why nobody can be served with these at this time: a needed certificate is not valid. Empty: they can.
std::string problem_of(const Credentials& credentials, WallTime now);

// Whether `next` may take the place of `current` while it serves. Untrusted or InvalidData where a needed
// certificate is not valid now, or a WireGuard key is another, which takes a restart.
Status check_successor(const Credentials& current, const Credentials& next, WallTime now);

// A WireGuard private key as `wg genkey` prints it.
Result<PrivateKey> load_wireguard_key(const std::string& path);

}  // namespace fortros::gateway
