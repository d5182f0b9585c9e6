// What of mbedTLS 3.6 a node needs: TLS 1.3 as a client, X.509 chains on P-256 and P-384, and the
// algorithms of agent/core/crypto.h by way of PSA (psa/crypto_config.h beside this). It lies where the
// library's own configuration would, so that nothing can be compiled with another one.
#ifndef MBEDTLS_CONFIG_H
#define MBEDTLS_CONFIG_H

// The machine. AES with the processor's instructions where it has them, in constant time.
#define MBEDTLS_HAVE_ASM
#define MBEDTLS_AESNI_C
#define MBEDTLS_HAVE_TIME
#define MBEDTLS_HAVE_TIME_DATE  // among anchors of one name and key, the one that is valid is taken
#define MBEDTLS_PLATFORM_C
#define MBEDTLS_PLATFORM_GMTIME_R_ALT  // agent/os/certificate.cc has it

// Cryptography: what PSA_WANT_... asks for, and what X.509 needs beside it.
#define MBEDTLS_PSA_CRYPTO_C
#define MBEDTLS_PSA_CRYPTO_CONFIG
#define MBEDTLS_PSA_KEY_STORE_DYNAMIC         // each connection of the race holds several keys
#define MBEDTLS_PSA_ASSUME_EXCLUSIVE_BUFFERS  // callers share the library's process and thread
#define MBEDTLS_ENTROPY_C
#define MBEDTLS_CTR_DRBG_C
#define MBEDTLS_CIPHER_C
#define MBEDTLS_ECP_NIST_OPTIM
#define MBEDTLS_AES_ROM_TABLES
#define MBEDTLS_AES_FEWER_TABLES
#define MBEDTLS_BLOCK_CIPHER_NO_DECRYPT  // GCM only ever encrypts blocks
#define MBEDTLS_MD_C

// Certificates, in PEM (the pinned CA) and DER (what peers send).
#define MBEDTLS_ASN1_PARSE_C
#define MBEDTLS_ASN1_WRITE_C
#define MBEDTLS_BASE64_C
#define MBEDTLS_OID_C
#define MBEDTLS_PEM_PARSE_C
#define MBEDTLS_PK_C
#define MBEDTLS_PK_PARSE_C
#define MBEDTLS_X509_USE_C
#define MBEDTLS_X509_CRT_PARSE_C
#define MBEDTLS_X509_REMOVE_INFO
#define MBEDTLS_RSA_C  // an org may pin a CA on P-256 that its RSA root has signed: read, never verified
#define MBEDTLS_PKCS1_V15

// TLS 1.3 as a client that is authenticated inside, by its proof; no resumption, no early data.
#define MBEDTLS_SSL_TLS_C
#define MBEDTLS_SSL_CLI_C
#define MBEDTLS_SSL_PROTO_TLS1_3
#define MBEDTLS_SSL_TLS1_3_COMPATIBILITY_MODE
#define MBEDTLS_SSL_TLS1_3_KEY_EXCHANGE_MODE_EPHEMERAL_ENABLED
#define MBEDTLS_SSL_KEEP_PEER_CERTIFICATE
#define MBEDTLS_SSL_KEYING_MATERIAL_EXPORT
#define MBEDTLS_SSL_SERVER_NAME_INDICATION

#endif
