// Where the node's key and its state live between boots: a UEFI variable, a file, or memory. A
// stored value has been read back before anyone hears of success; garbage reads as absent, with a
// warning. It never knows what a state means: that is core/state.h.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "base/log.h"
#include "base/result.h"
#include "base/secret.h"
#include "core/key.h"
#include "core/settings.h"
#include "os/efi_vars.h"

namespace fortros {

class KeyStore {
public:
    KeyStore() = default;
    KeyStore(const KeyStore&) = delete;
    KeyStore& operator=(const KeyStore&) = delete;
    virtual ~KeyStore() = default;

    // Nothing if none was stored yet or what is there is no key. An error if the store could not
    // be asked: then a key may be there, and none may be made.
    virtual Result<std::optional<PrivateKey>> load() = 0;
    // Durable, and read back, when it succeeds.
    virtual Status store(const PrivateKey& key) = 0;
    // "the UEFI variable FortrosKey", "'/persist/fortros/key'", for messages.
    virtual std::string place() const = 0;
};

class StateStore {
public:
    StateStore() = default;
    StateStore(const StateStore&) = delete;
    StateStore& operator=(const StateStore&) = delete;
    virtual ~StateStore() = default;

    virtual Result<std::optional<Bytes>> load() = 0;
    // Does not write what is there already.
    virtual Status store(ByteView state) = 0;
    virtual std::string place() const = 0;
};

// `variables` and `log` must outlive the store.
std::unique_ptr<KeyStore> make_key_store(const StoreSetting& setting, EfiVariables& variables,
                                         Log& log);
std::unique_ptr<StateStore> make_state_store(const StoreSetting& setting, EfiVariables& variables,
                                             Log& log);

// A stored key: "FORTKEY\x01" || key (32) || first 8 bytes of SHA-256 over everything before.
inline constexpr std::size_t key_record_size = 8 + key_size + 8;
SecretBytes encode_key_record(const PrivateKey& key);
Result<PrivateKey> decode_key_record(ByteView record);

}  // namespace fortros
