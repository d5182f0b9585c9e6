// OpenSSL's objects as owned values, and its error queue as Errors. It does no cryptography.
#pragma once

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>

#include "base/result.h"

namespace fortros::gateway {

struct OpenSslFree {
    void operator()(BIO* object) const { BIO_free_all(object); }
    void operator()(ECDSA_SIG* object) const { ECDSA_SIG_free(object); }
    void operator()(EVP_CIPHER_CTX* object) const { EVP_CIPHER_CTX_free(object); }
    void operator()(EVP_KDF_CTX* object) const { EVP_KDF_CTX_free(object); }
    void operator()(EVP_MAC_CTX* object) const { EVP_MAC_CTX_free(object); }
    void operator()(EVP_MD_CTX* object) const { EVP_MD_CTX_free(object); }
    void operator()(EVP_PKEY* object) const { EVP_PKEY_free(object); }
    void operator()(EVP_PKEY_CTX* object) const { EVP_PKEY_CTX_free(object); }
    void operator()(SSL* object) const { SSL_free(object); }
    void operator()(SSL_CTX* object) const { SSL_CTX_free(object); }
    void operator()(X509* object) const { X509_free(object); }
    void operator()(X509_STORE* object) const { X509_STORE_free(object); }
    void operator()(X509_STORE_CTX* object) const { X509_STORE_CTX_free(object); }
};

template <typename Object>
using OpenSsl = std::unique_ptr<Object, OpenSslFree>;

// The queue belongs to the thread and outlives the call that filled it: whoever handles a failure
// empties it, or the next one reports this one's reason.
inline void forget_openssl_errors() { ERR_clear_error(); }

// An error with the newest reason of this thread's queue; empties the queue.
inline std::unexpected<Error> fail_openssl(ErrorCode code, std::string what) {
    const auto newest = ERR_peek_last_error();
    const char* reason = newest == 0 ? nullptr : ERR_reason_error_string(newest);
    forget_openssl_errors();
    return fail(code, std::move(what), reason == nullptr ? "" : reason);
}

}  // namespace fortros::gateway
