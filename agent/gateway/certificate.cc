#include "gateway/certificate.h"

#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <ctime>

#include "base/text.h"
#include "core/attestation.h"
#include "os/files.h"

namespace fortros::gateway {

static constexpr std::size_t pem_file_limit = std::size_t{64} * 1024;

namespace {

struct StackFree {
    void operator()(GENERAL_NAMES* names) const { GENERAL_NAMES_free(names); }
    void operator()(EXTENDED_KEY_USAGE* usages) const { EXTENDED_KEY_USAGE_free(usages); }
    void operator()(STACK_OF(X509) * borrowed) const { sk_X509_free(borrowed); }
};

using GeneralNames = std::unique_ptr<GENERAL_NAMES, StackFree>;
using Usages = std::unique_ptr<EXTENDED_KEY_USAGE, StackFree>;
using BorrowedChain = std::unique_ptr<STACK_OF(X509), StackFree>;

// An encrypted key is refused instead of asking on a terminal that is not there.
int no_passphrase(char*, int, int, void*) { return -1; }

}  // namespace

// --- files ---

Result<Certificates> load_certificates(const std::string& path) {
    const auto text = TRY(read_file(path, pem_file_limit));
    if (text.find("PRIVATE KEY") != std::string::npos)
        return fail(ErrorCode::InvalidData,
                    "'" + path + "' holds a private key beside certificates: keep them apart");
    const OpenSsl<BIO> bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size())));
    Certificates certificates;
    while (auto* certificate = PEM_read_bio_X509(bio.get(), nullptr, no_passphrase, nullptr)) {
        certificates.emplace_back(certificate);
        if (certificates.size() > certificates_in_file_limit)
            return fail(ErrorCode::InvalidData, "'" + path + "' holds too many certificates");
    }
    // The loop ends with an error in any case: at the end of the file with "no start line".
    const auto error = ERR_peek_last_error();
    const bool at_end =
        ERR_GET_LIB(error) == ERR_LIB_PEM && ERR_GET_REASON(error) == PEM_R_NO_START_LINE;
    if (!at_end)
        return fail_openssl(ErrorCode::InvalidData, "cannot read a certificate in '" + path + "'");
    forget_openssl_errors();
    if (certificates.empty())
        return fail(ErrorCode::InvalidData, "'" + path + "' holds no certificate in PEM");
    return certificates;
}

Result<OpenSsl<EVP_PKEY>> load_private_key(const std::string& path) {
    const auto text = TRY(read_secret_file(path, pem_file_limit));
    const OpenSsl<BIO> bio(BIO_new_mem_buf(text.view().data(), static_cast<int>(text.size())));
    OpenSsl<EVP_PKEY> key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_passphrase, nullptr));
    if (!key)
        return fail_openssl(ErrorCode::InvalidData,
                            "'" + path + "' holds no private key in PEM that can be read");
    return key;
}

// --- facts ---

Result<Bytes> der_of(X509* certificate) {
    const int size = i2d_X509(certificate, nullptr);
    if (size <= 0) return fail_openssl(ErrorCode::Internal, "cannot encode a certificate");
    Bytes der(static_cast<std::size_t>(size));
    auto* out = der.data();
    i2d_X509(certificate, &out);
    return der;
}

static Result<WallTime> time_of(const ASN1_TIME* time) {
    std::tm parts{};
    if (ASN1_TIME_to_tm(time, &parts) != 1)
        return fail_openssl(ErrorCode::InvalidData, "a certificate has a date that cannot be read");
    return WallTime{std::chrono::seconds{::timegm(&parts)}};
}

Result<WallTime> not_before_of(X509* certificate) {
    return time_of(X509_get0_notBefore(certificate));
}

Result<WallTime> not_after_of(X509* certificate) {
    return time_of(X509_get0_notAfter(certificate));
}

std::string subject_of(X509* certificate) {
    char text[256];
    X509_NAME_oneline(X509_get_subject_name(certificate), text, sizeof(text));
    return printable(text);
}

static std::string text_of(const ASN1_STRING* string) {
    return {reinterpret_cast<const char*>(ASN1_STRING_get0_data(string)),
            static_cast<std::size_t>(ASN1_STRING_length(string))};
}

Result<LeafFacts> leaf_facts_of(X509* leaf) {
    LeafFacts facts;
    const auto flags = X509_get_extension_flags(leaf);
    if ((flags & EXFLAG_INVALID) != 0)
        return fail_openssl(ErrorCode::InvalidData,
                            "a certificate has an extension that cannot be read");
    facts.is_ca = X509_check_ca(leaf) != 0;
    facts.newest_not_before = TRY(not_before_of(leaf));
    facts.earliest_not_after = TRY(not_after_of(leaf));

    const Usages usages(static_cast<EXTENDED_KEY_USAGE*>(
        X509_get_ext_d2i(leaf, NID_ext_key_usage, nullptr, nullptr)));
    facts.has_extended_key_usage = usages != nullptr;
    for (int i = 0; usages && i < sk_ASN1_OBJECT_num(usages.get()); ++i) {
        const int usage = OBJ_obj2nid(sk_ASN1_OBJECT_value(usages.get(), i));
        facts.has_server_auth |= usage == NID_server_auth;
        facts.has_any_usage |= usage == NID_anyExtendedKeyUsage;
    }

    const GeneralNames names(static_cast<GENERAL_NAMES*>(
        X509_get_ext_d2i(leaf, NID_subject_alt_name, nullptr, nullptr)));
    for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
        const GENERAL_NAME* name = sk_GENERAL_NAME_value(names.get(), i);
        if (name->type == GEN_DNS) facts.dns_names.push_back(text_of(name->d.dNSName));
        if (name->type == GEN_URI) facts.uris.push_back(text_of(name->d.uniformResourceIdentifier));
    }
    forget_openssl_errors();
    return facts;
}

// --- judgements ---

Status verify_chain(X509* leaf, std::span<const OpenSsl<X509>> intermediates,
                    const Certificates& anchors) {
    const OpenSsl<X509_STORE> store(X509_STORE_new());
    const OpenSsl<X509_STORE_CTX> context(X509_STORE_CTX_new());
    const BorrowedChain untrusted(sk_X509_new_null());
    if (!store || !context || !untrusted)
        return fail_openssl(ErrorCode::Internal, "cannot verify a certificate");
    for (const auto& anchor : anchors) X509_STORE_add_cert(store.get(), anchor.get());
    for (const auto& certificate : intermediates) sk_X509_push(untrusted.get(), certificate.get());
    X509_STORE_set_flags(store.get(), X509_V_FLAG_NO_CHECK_TIME);
    if (X509_STORE_CTX_init(context.get(), store.get(), leaf, untrusted.get()) != 1)
        return fail_openssl(ErrorCode::Internal, "cannot verify a certificate");
    const bool valid = X509_verify_cert(context.get()) == 1;
    const int reason = X509_STORE_CTX_get_error(context.get());
    forget_openssl_errors();
    if (!valid)
        return fail(ErrorCode::Untrusted,
                    "the certificate '" + subject_of(leaf) + "' does not chain to the CA",
                    X509_verify_cert_error_string(reason));
    return {};
}

Status check_signer_profile(X509* certificate) {
    const auto facts = TRY(leaf_facts_of(certificate));
    const Usages usages(static_cast<EXTENDED_KEY_USAGE*>(
        X509_get_ext_d2i(certificate, NID_ext_key_usage, nullptr, nullptr)));
    forget_openssl_errors();
    if (facts.is_ca) return fail(ErrorCode::Untrusted, "the signer's certificate is a CA's");
    if (!facts.dns_names.empty())
        return fail(ErrorCode::Untrusted, "the signer's certificate has a dNSName");
    if (!usages || sk_ASN1_OBJECT_num(usages.get()) != 1)
        return fail(ErrorCode::Untrusted,
                    "the signer's certificate has not exactly one extended key usage");
    const ASN1_OBJECT* usage = sk_ASN1_OBJECT_value(usages.get(), 0);
    const ByteView oid{OBJ_get0_data(usage), OBJ_length(usage)};
    if (!std::ranges::equal(oid, signer_usage_oid_der))
        return fail(ErrorCode::Untrusted,
                    "the signer's certificate is not for signing attestations (" +
                        std::string(signer_usage_oid) + ")");
    return {};
}

}  // namespace fortros::gateway
