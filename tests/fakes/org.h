// An organisation in memory: a prefix, a signer that really signs, and gateways that really check
// proofs and answer as the protocol says, unless a test tells them to lie. No socket, no clock.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "core/attestation.h"
#include "core/bootstrap_set.h"
#include "core/enrolment.h"
#include "core/http.h"
#include "core/messages.h"
#include "core/proof.h"

namespace fortros::fakes {

// A P-256 key that signs attestations and bootstrap sets; its "certificate" is its public point, and as
// many bytes more as wanted.
class FakeSigner {
public:
    explicit FakeSigner(WallTime not_before = {}, WallTime not_after = WallTime::max(),
                        std::size_t padding = 0);
    Bytes attest(const OrgPrefix& prefix, const PublicKey& node, Role role, WallTime not_after,
                 std::uint64_t serial = 1) const;
    // The set with this signer's id, signed.
    Bytes sign(BootstrapSet set) const;
    Bytes sign(OrgDocument document) const;
    const Bytes& certificate() const { return m_certificate; }
    const Signer& signer() const { return m_signer; }

private:
    Bytes with_signature(Bytes bytes) const;

    unsigned m_key = 0;  // PSA key id
    Bytes m_certificate{};
    Signer m_signer;
};

// Takes the points of known signers for certificates.
class FakeVerifier final : public SignerVerifier {
public:
    explicit FakeVerifier(std::vector<Signer> known) : m_known(std::move(known)) {}
    Result<Signer> verify(ByteView certificate_der, WallTime now) const override;

private:
    std::vector<Signer> m_known;
};

struct FakeInvite {
    unsigned uses_left = 1;
};

// Any number of gateways of one org share one registry, as several real gateways do.
struct FakeOrg {
    explicit FakeOrg(Random& random, FakeSigner of = FakeSigner());

    OrgPrefix prefix = *OrgPrefix::parse("fd12:3456:789a::/48");
    std::string domain = "example.org";
    std::string gateway_name = "gateway.example.org";
    FakeSigner signer;
    PrivateKey gateway_key;
    PublicKey gateway_public;
    std::map<std::string, FakeInvite, std::less<>> invites;
    std::map<PublicKey, bool> nodes;  // revoked?
    std::uint64_t document_serial = 1;
    std::optional<SourceSet> document_sources{};
    std::set<PublicKey> sessions;  // nodes with which the gateway's WireGuard has one
    Endpoint wireguard = *Endpoint::parse("203.0.113.5:51820");

    // How the gateway answers instead of as it should.
    std::optional<RefusalCode> refuse_all{};
    std::optional<IpAddress> shown_address{};  // with ApprovalPending, instead of the right one
    unsigned forgive_after = 0;                // requests after which refuse_all ends; 0: never
    std::vector<Endpoint> more_wireguard{};    // endpoints before the one above
    unsigned addresses_taken = 0;              // so many enrolments are answered 409
    std::uint32_t retry_after = 0;
    bool forget_proof = false;
    std::function<void(MembershipAnswer& answer)> tamper{};
    void (*tamper_with_set)(BootstrapSet& set) = nullptr;               // before it is signed
    std::function<void(OrgDocument& document)> tamper_with_document{};  // the same

    // What a node sent in the clear of its TLS connection, and what it gets back.
    HttpAnswer answer(std::string_view request, const Exporter& exporter, WallTime now);
    // What one gateway says, with its proof, that does not do as the others do.
    HttpAnswer refuse(RefusalCode code, std::uint32_t patience, std::string_view request,
                      const Exporter& exporter);
    // What somebody says who has a gateway's TLS key and all that it ever said, but not its WireGuard
    // key; each `kind` is another try.
    HttpAnswer forge(unsigned kind, std::string_view request, const Exporter& exporter,
                     WallTime now) const;

    unsigned requests = 0;
    unsigned enrolments = 0;
    unsigned joins = 0;
    unsigned false_sessions = 0;  // of which a node told that the gateway knows nothing of

private:
    std::pair<int, std::string> decide(std::string_view target, const PublicKey& node,
                                       const ProofKey& key, std::string_view body, WallTime now);
    std::string membership(const PublicKey& node, WallTime now) const;
};

}  // namespace fortros::fakes
