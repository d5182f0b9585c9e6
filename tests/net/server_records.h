// TLS 1.3 records of a server as OpenSSL would never send them, by the secret that its key log tells
// (RFC 8446 sections 5.2 and 7.3). For attacks in tests; it never reads one.
#pragma once

#include <openssl/evp.h>

#include <cstdint>
#include <string>
#include <string_view>

#include "base/bytes.h"
#include "core/crypto.h"
#include "gateway/openssl.h"

namespace fortros {

class ServerRecords {
public:
    void set_secret(ByteView secret) {
        m_key = expand(secret, "key");
        m_iv = expand(secret, "iv");
    }

    // Only for TLS_AES_128_GCM_SHA256, and only while OpenSSL has sent nothing under this secret.
    Bytes make(std::uint8_t type, ByteView content) {
        Bytes inner(content.begin(), content.end());
        inner.push_back(type);
        const std::size_t size = inner.size() + crypto::tag_size;
        Bytes record{23, 3, 3, static_cast<std::uint8_t>(size >> 8),
                     static_cast<std::uint8_t>(size)};
        std::uint8_t nonce[12];
        for (std::size_t i = 0; i < sizeof nonce; ++i) nonce[i] = m_iv[i];
        for (std::size_t i = 0; i < 8; ++i)
            nonce[11 - i] ^= static_cast<std::uint8_t>(m_sequence >> (8 * i));
        ++m_sequence;
        gateway::OpenSsl<EVP_CIPHER_CTX> context(EVP_CIPHER_CTX_new());
        int length = 0;
        Bytes sealed(size);
        ASSERT(EVP_EncryptInit_ex2(context.get(), EVP_aes_128_gcm(), m_key.data(), nonce,
                                   nullptr) == 1);
        ASSERT(EVP_EncryptUpdate(context.get(), nullptr, &length, record.data(), 5) == 1);
        ASSERT(EVP_EncryptUpdate(context.get(), sealed.data(), &length, inner.data(),
                                 static_cast<int>(inner.size())) == 1);
        ASSERT(EVP_EncryptFinal_ex(context.get(), sealed.data() + length, &length) == 1);
        ASSERT(EVP_CIPHER_CTX_ctrl(context.get(), EVP_CTRL_AEAD_GET_TAG, int{crypto::tag_size},
                                   sealed.data() + inner.size()) == 1);
        record.insert(record.end(), sealed.begin(), sealed.end());
        return record;
    }

private:
    // HKDF-Expand-Label with an empty context; one block is enough.
    static crypto::Digest expand(ByteView secret, std::string_view label) {
        const std::string name = "tls13 " + std::string(label);
        Bytes info{0, static_cast<std::uint8_t>(label == "iv" ? 12 : 16),
                   static_cast<std::uint8_t>(name.size())};
        info.insert(info.end(), name.begin(), name.end());
        info.insert(info.end(), {0, 1});
        return crypto::hmac_sha256(secret, {info});
    }

    crypto::Digest m_key{}, m_iv{};
    std::uint64_t m_sequence = 0;
};

}  // namespace fortros
