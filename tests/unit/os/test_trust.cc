#include "os/trust.h"

#include <doctest/doctest.h>
#include <mbedtls/x509.h>

#include <fstream>

#include "base/encoding.h"
#include "core/attestation.h"
#include "os/clock.h"
#include "unit/os/certificates.h"
#include "unit/os/temporary_directory.h"

using namespace fortros;

namespace {

constexpr auto a_day = std::chrono::days{1};

const std::string_view signer_usage{reinterpret_cast<const char*>(signer_usage_oid_der),
                                    sizeof signer_usage_oid_der};

// What certs/ issues for a signer.
CertificateSpec signer_spec() {
    return {.subject = "CN=Test Org signer",
            .key_usage = MBEDTLS_X509_KU_DIGITAL_SIGNATURE,
            .extended_usage = {signer_usage}};
}

std::unique_ptr<TrustAnchors> anchors_of(const std::string& pem) {
    auto anchors = TrustAnchors::parse(pem, "org-ca.pem");
    REQUIRE(anchors.has_value());
    return std::move(*anchors);
}

// Whether the text is refused in words that hold `reason` and the file's name.
bool refused(const std::string& pem, std::string_view reason) {
    auto anchors = TrustAnchors::parse(pem, "org-ca.pem");
    if (anchors) return false;
    const std::string text = anchors.error().text();
    CAPTURE(text);
    CHECK(anchors.error().code == ErrorCode::InvalidData);
    CHECK(text.find("'org-ca.pem'") != std::string::npos);
    const bool named = text.find(reason) != std::string::npos;
    CHECK(named);
    return named;
}

// Why a signer's certificate is refused; empty if it is not.
std::string refusal(const TrustAnchors& anchors, ByteView certificate, WallTime now = test_now) {
    auto signer = anchors.verify(certificate, now);
    if (signer) return "";
    CHECK(signer.error().code == ErrorCode::Untrusted);
    return signer.error().text();
}

bool holds(const std::string& text, std::string_view part) {
    return text.find(part) != std::string::npos;
}

}  // namespace

// No image would boot, or none while the CA is being rotated.
TEST_CASE("trust: one to four CA certificates are pinned, with comments between them") {
    std::string pem = "The CA of our organisation\n";
    for (unsigned count = 1; count <= TrustAnchors::count_limit; ++count) {
        pem += "# number " + std::to_string(count) + "\n" + to_pem(TestAuthority().certificate);
        CHECK(anchors_of(pem)->count() == count);
    }
    pem += to_pem(TestAuthority().certificate);
    CHECK(refused(pem, "holds 5 certificates; at most 4"));
}

// An org with the stronger curve could not boot.
TEST_CASE("trust: a P-384 CA may be pinned") {
    TestAuthority authority("CN=CA", {.hash = "SHA384"}, "P-384");
    CHECK(anchors_of(to_pem(authority.certificate))->count() == 1);
}

// An org whose own root is older than its nodes could not boot.
TEST_CASE("trust: a CA that an RSA root has signed may be pinned") {
    TestKey key, root("RSA");
    const auto certificate = make_certificate(
        {.subject = "CN=nodes", .is_ca = true, .key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN}, key,
        "CN=root", root);
    const auto anchors = anchors_of(to_pem(certificate));
    TestKey signer;
    CHECK(refusal(*anchors, make_certificate(signer_spec(), signer, "CN=nodes", key)).empty());
}

// The clock rule would take a wrong moment for certain.
TEST_CASE("trust: the anchors' dates are the newest begin and the latest end") {
    TestAuthority old("CN=old",
                      {.not_before = test_now - 100 * a_day, .not_after = test_now + 900 * a_day});
    TestAuthority fresh("CN=new",
                        {.not_before = test_now - 10 * a_day, .not_after = test_now + 300 * a_day});
    for (const auto& pem : {to_pem(old.certificate) + to_pem(fresh.certificate),
                            to_pem(fresh.certificate) + to_pem(old.certificate)}) {
        auto anchors = anchors_of(pem);
        CHECK(anchors->newest_not_before() == test_now - 10 * a_day);
        CHECK(anchors->latest_not_after() == test_now + 900 * a_day);
    }
}

// An operator would not know why the image does not boot.
TEST_CASE("trust: an empty or damaged file is refused by name") {
    CHECK(refused("", "holds no certificate"));
    CHECK(refused("hello", "holds no certificate"));
    std::string pem = to_pem(TestAuthority().certificate);
    CHECK(refused(pem.substr(0, pem.size() / 2), "certificate 1 in 'org-ca.pem' is damaged"));
    std::string damaged = pem;
    damaged[100] = damaged[100] == 'A' ? 'B' : 'A';
    damaged[200] = '!';
    CHECK(refused(pem + damaged, "certificate 2 in 'org-ca.pem' is damaged"));
    const Bytes der = TestAuthority().certificate;
    CHECK(refused(std::string(der.begin(), der.end()), "holds no certificate"));
}

// Pinning a leaf would let one host, if stolen, be the whole organisation.
TEST_CASE("trust: what is no CA certificate can't be pinned") {
    TestAuthority authority;
    TestKey key;
    auto leaf =
        authority.issue({.subject = "CN=gateway", .extended_usage = {server_auth_oid}}, key);
    CHECK(refused(to_pem(leaf), "('CN=gateway') is not a CA certificate"));
    TestAuthority silent("CN=silent", {.has_basic_constraints = false});
    CHECK(refused(to_pem(silent.certificate), "('CN=silent') is not a CA certificate"));
    CHECK(refused(to_pem(authority.certificate) + to_pem(leaf), "certificate 2"));
    TestAuthority mute("CN=mute", {.key_usage = MBEDTLS_X509_KU_CRL_SIGN});
    CHECK(refused(to_pem(mute.certificate), "may not sign certificates"));
}

// A key that TLS refuses anyway would be found out only at the gateway.
TEST_CASE("trust: a CA with another kind of key can't be pinned") {
    for (const char* kind : {"P-521", "RSA"}) {
        TestAuthority authority("CN=CA", {}, kind);
        CHECK(refused(to_pem(authority.certificate), "ECDSA on P-256 or P-384 is"));
    }
}

// Whoever reads the image could sign for the organisation.
TEST_CASE("trust: a file with a private key in it is refused") {
    const std::string begin = "-----BEGIN ", kind = "EC PRIVATE KEY-----\n";
    CHECK(refused(to_pem(TestAuthority().certificate) + begin + kind + "MHcCAQ==\n",
                  "holds a private key"));
}

// The same, from a real file.
TEST_CASE("trust: files are loaded, and a missing one is named") {
    TemporaryDirectory folder;
    std::ofstream(folder.path("ca.pem")) << to_pem(TestAuthority().certificate);
    auto anchors = TrustAnchors::load(folder.path("ca.pem"));
    REQUIRE(anchors.has_value());
    CHECK((*anchors)->count() == 1);
    auto missing = TrustAnchors::load(folder.path("no.pem"));
    REQUIRE_FALSE(missing.has_value());
    CHECK(missing.error().code == ErrorCode::NotFound);
    CHECK(holds(missing.error().text(), folder.path("no.pem")));
}

// No attestation could be checked, and no node would peer with anyone.
TEST_CASE("trust: a signer's certificate gives its id, key and dates") {
    TestAuthority authority;
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey key;
    auto certificate = authority.issue(signer_spec(), key);
    auto signer = anchors->verify(certificate, test_now);
    REQUIRE(signer.has_value());
    CHECK(signer->id == signer_id_of(certificate));
    CHECK(signer->not_before == test_now - a_day);
    CHECK(signer->not_after == test_now + 30 * a_day);
    CHECK(signer->key == key.point());
}

// During a rotation signers of the new CA would be strangers.
TEST_CASE("trust: a signer may come from any of the anchors") {
    TestAuthority old("CN=old"), fresh("CN=new");
    auto anchors = anchors_of(to_pem(old.certificate) + to_pem(fresh.certificate));
    TestKey key;
    CHECK(refusal(*anchors, old.issue(signer_spec(), key)).empty());
    CHECK(refusal(*anchors, fresh.issue(signer_spec(), key)).empty());
}

// A CA that was renewed under its key would vouch for nobody while its old certificate is pinned too.
TEST_CASE("trust: of two certificates of one CA the one that is valid is taken") {
    const WallTime now = wall_now();  // mbedTLS chooses by the system's clock
    TestKey ca, key;
    CertificateSpec spec{
        .subject = "CN=CA", .is_ca = true, .key_usage = MBEDTLS_X509_KU_KEY_CERT_SIGN};
    spec.not_before = now - 900 * a_day;
    spec.not_after = now - a_day;
    const std::string old = to_pem(make_certificate(spec, ca, "CN=CA", ca));
    spec.not_before = now - 2 * a_day;
    spec.not_after = now + 900 * a_day;
    const std::string renewed = to_pem(make_certificate(spec, ca, "CN=CA", ca));
    auto signer = signer_spec();
    signer.not_before = now - a_day;
    signer.not_after = now + a_day;
    for (const auto& pem : {old + renewed, renewed + old})
        CHECK(refusal(*anchors_of(pem), make_certificate(signer, key, "CN=CA", ca), now).empty());
}

// Anybody could attest members.
TEST_CASE("trust: a signer of another CA is refused, also one with the same name") {
    TestAuthority authority, impostor, stranger("CN=stranger");
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey key;
    for (const auto* other : {&impostor, &stranger})
        CHECK(holds(refusal(*anchors, other->issue(signer_spec(), key)),
                    "not signed by the pinned organisation CA"));
    auto own_word = make_certificate(signer_spec(), key, "CN=Test Org signer", key);
    CHECK(holds(refusal(*anchors, own_word), "not signed by"));
    CHECK(holds(refusal(*anchors, authority.certificate), "CA certificate"));
}

// A gateway's stolen leaf could sign signers.
TEST_CASE("trust: a leaf can't vouch for a signer") {
    TestAuthority authority;
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey gateway, key;
    auto certificate = make_certificate(signer_spec(), key, "CN=gateway", gateway);
    CHECK(holds(refusal(*anchors, certificate), "not signed by"));
}

// A retired signer could attest for ever, and one of the future at once.
TEST_CASE("trust: a signer's dates are judged at the time that is given, to the second") {
    TestAuthority authority(
        "CN=CA", {.not_before = test_now - 100 * a_day, .not_after = test_now + 100 * a_day});
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey key;
    auto certificate = authority.issue(signer_spec(), key);
    CHECK(refusal(*anchors, certificate, test_now - a_day).empty());
    CHECK(refusal(*anchors, certificate, test_now + 30 * a_day).empty());
    CHECK(holds(refusal(*anchors, certificate, test_now - a_day - 1s),
                "is not valid yet (not before 2027-01-14T08:00:00Z; the clock says "
                "2027-01-14T07:59:59Z)"));
    CHECK(holds(refusal(*anchors, certificate, test_now + 30 * a_day + 1s),
                "has expired (not after 2027-02-14T08:00:00Z; the clock says "));
}

// The org's own end would be overlooked.
TEST_CASE("trust: an anchor that has run out vouches for nobody") {
    TestAuthority authority("CN=old CA", {.not_after = test_now - 1s});
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey key;
    CHECK(holds(refusal(*anchors, authority.issue(signer_spec(), key)), "'CN=old CA'"));
}

// A certificate made for something else, or a gateway's, could attest members.
TEST_CASE("trust: a signer has exactly its own extended key usage") {
    TestAuthority authority;
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey key;
    for (const auto& usages : std::vector<std::vector<std::string_view>>{
             {},
             {server_auth_oid},
             {any_usage_oid},
             {signer_usage, server_auth_oid},
             {client_auth_oid, signer_usage},
             {signer_usage.substr(0, signer_usage.size() - 1)}}) {
        auto spec = signer_spec();
        spec.extended_usage = usages;
        CHECK(holds(refusal(*anchors, authority.issue(spec, key)), "signing attestations"));
    }
}

// A stolen signer could pose as a gateway to software that looks at the name only.
TEST_CASE("trust: a signer has no DNS name, is no CA and may sign") {
    TestAuthority authority;
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey key;
    auto spec = signer_spec();
    spec.dns_names = {"gateway.example.org"};
    CHECK(holds(refusal(*anchors, authority.issue(spec, key)), "has a DNS name"));
    spec.other_name = true;
    CHECK(holds(refusal(*anchors, authority.issue(spec, key)), "has a DNS name"));
    spec = signer_spec();
    spec.is_ca = true;
    CHECK(holds(refusal(*anchors, authority.issue(spec, key)), "CA certificate"));
    spec = signer_spec();
    spec.key_usage = MBEDTLS_X509_KU_KEY_ENCIPHERMENT;
    CHECK(holds(refusal(*anchors, authority.issue(spec, key)), "may not sign"));
}

// An attestation holds a P-256 signature and nothing longer.
TEST_CASE("trust: a signer's key is P-256 and its certificate signed with SHA-2") {
    TestAuthority authority;
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey long_key("P-384"), key;
    CHECK(holds(refusal(*anchors, authority.issue(signer_spec(), long_key)), "not P-256"));
    auto spec = signer_spec();
    spec.hash = "SHA1";
    CHECK(holds(refusal(*anchors, authority.issue(spec, key)), "kind of key or signature"));
}

// One signer would have many ids, or a stranger's bytes would end the program.
TEST_CASE("trust: damaged, cut, padded and oversized signer certificates are refused") {
    TestAuthority authority;
    auto anchors = anchors_of(to_pem(authority.certificate));
    TestKey key;
    const Bytes good = authority.issue(signer_spec(), key);
    CHECK_FALSE(refusal(*anchors, {}).empty());
    for (std::size_t size = 1; size < good.size(); size += 7)
        CHECK_FALSE(refusal(*anchors, ByteView(good).first(size)).empty());
    for (std::size_t i = 0; i < good.size(); i += 3) {
        Bytes damaged = good;
        damaged[i] ^= 0x20;
        CHECK_FALSE(refusal(*anchors, damaged).empty());
    }
    Bytes padded = good;
    padded.push_back(0);
    CHECK(holds(refusal(*anchors, padded), "cannot be read"));
    CHECK(holds(refusal(*anchors, Bytes(5000, 0x30)), "too large"));
}
