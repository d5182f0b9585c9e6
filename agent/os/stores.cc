#include "os/stores.h"

#include <algorithm>

#include "core/crypto.h"
#include "core/state.h"
#include "os/files.h"

namespace fortros {

static constexpr std::string_view key_magic = "FORTKEY\x01";
static constexpr std::size_t checksum_size = 8;
static_assert(key_record_size == key_magic.size() + key_size + checksum_size);

SecretBytes encode_key_record(const PrivateKey& key) {
    SecretBytes record(key_record_size);
    auto out = record.writable().begin();
    out = std::ranges::copy(as_bytes(key_magic), out).out;
    out = std::ranges::copy(key.view(), out).out;
    const auto digest = crypto::sha256({record.view().first(key_magic.size() + key_size)});
    std::copy_n(digest.begin(), checksum_size, out);
    return record;
}

Result<PrivateKey> decode_key_record(ByteView record) {
    if (record.size() != key_record_size || as_text(record.first(key_magic.size())) != key_magic)
        return fail(ErrorCode::InvalidData, "is no key record");
    const ByteView body = record.first(key_magic.size() + key_size);
    const auto digest = crypto::sha256({body});
    if (!std::ranges::equal(record.last(checksum_size), ByteView(digest).first(checksum_size)))
        return fail(ErrorCode::InvalidData, "is damaged");
    return PrivateKey(std::span<const std::uint8_t, key_size>(body.last(key_size)));
}

namespace {

// One value in one place, whatever kind of place it is.
class Place {
public:
    Place() = default;
    Place(const Place&) = delete;
    Place& operator=(const Place&) = delete;
    virtual ~Place() = default;
    virtual Result<std::optional<SecretBytes>> read() = 0;
    virtual Status write(ByteView value) = 0;
    virtual std::string name() const = 0;
};

class UefiPlace final : public Place {
public:
    UefiPlace(EfiVariables& variables, const char* variable, Log& log)
        : m_variables(variables), m_variable(variable), m_log(log) {}

    Result<std::optional<SecretBytes>> read() override {
        auto value = m_variables.read(m_variable);
        // Larger than any of ours. The name is ours alone, so nobody loses anything by it.
        if (!value && value.error().code == ErrorCode::InvalidData) {
            m_log.write({.level = Level::Warning,
                         .event = "variable-unreadable",
                         .message = value.error().text() + "; it counts as absent"});
            return std::nullopt;
        }
        if (value && *value) protect();
        return value;
    }
    Status write(ByteView value) override {
        TRY(m_variables.write(m_variable, value));
        protect();
        return {};
    }
    std::string name() const override { return std::string("the UEFI variable ") + m_variable; }

private:
    // efivarfs forgets modes, so each boot makes the variable private anew, before its first use.
    // Where efivarfs is read-only that fails, which is no reason not to boot.
    void protect() {
        if (Status status = m_variables.protect(m_variable); !status)
            m_log.write(
                {.level = Level::Warning,
                 .event = "variable-not-private",
                 .message = name() + " may be readable by every user: " + status.error().text()});
    }

    EfiVariables& m_variables;
    const char* m_variable;
    Log& m_log;
};

class FilePlace final : public Place {
public:
    explicit FilePlace(std::string path) : m_path(std::move(path)) {}

    Result<std::optional<SecretBytes>> read() override {
        auto value = read_secret_file(m_path, efi_variable_limit);
        if (!value) {
            if (value.error().code == ErrorCode::NotFound) return std::nullopt;
            return std::unexpected(std::move(value).error());
        }
        return std::move(*value);
    }
    Status write(ByteView value) override {
        if (const auto current = read();
            current && *current && std::ranges::equal((*current)->view(), value))
            return {};
        TRY(write_file(m_path, value, 0600));
        const auto stored = TRY(read());
        if (!stored || !std::ranges::equal(stored->view(), value))
            return fail(ErrorCode::Io, name() + " does not read back as it was written");
        return {};
    }
    std::string name() const override { return "'" + m_path + "'"; }

private:
    std::string m_path;
};

class NoPlace final : public Place {
public:
    Result<std::optional<SecretBytes>> read() override { return std::nullopt; }
    Status write(ByteView) override { return {}; }
    std::string name() const override { return "memory"; }
};

class KeyStoreIn final : public KeyStore {
public:
    KeyStoreIn(std::unique_ptr<Place> place, Log& log) : m_place(std::move(place)), m_log(log) {}

    Result<std::optional<PrivateKey>> load() override {
        const auto record = TRY(m_place->read());
        if (!record) return std::nullopt;
        auto key = decode_key_record(record->view());
        if (key) return std::move(*key);
        m_log.write(
            {.level = Level::Warning,
             .event = "key-unreadable",
             .message = m_place->name() + " " + key.error().text() + "; it counts as absent"});
        return std::nullopt;
    }
    Status store(const PrivateKey& key) override {
        const SecretBytes record = encode_key_record(key);
        return m_place->write(record.view());
    }
    std::string place() const override { return m_place->name(); }

private:
    std::unique_ptr<Place> m_place;
    Log& m_log;
};

class StateStoreIn final : public StateStore {
public:
    explicit StateStoreIn(std::unique_ptr<Place> place) : m_place(std::move(place)) {}

    Result<std::optional<Bytes>> load() override {
        const auto value = TRY(m_place->read());
        if (!value) return std::nullopt;
        return Bytes(value->view().begin(), value->view().end());
    }
    Status store(ByteView state) override { return m_place->write(state); }
    std::string place() const override { return m_place->name(); }

private:
    std::unique_ptr<Place> m_place;
};

}  // namespace

static std::unique_ptr<Place> make_place(const StoreSetting& setting, EfiVariables& variables,
                                         const char* variable, Log& log) {
    switch (setting.kind) {
        case StoreKind::Uefi: return std::make_unique<UefiPlace>(variables, variable, log);
        case StoreKind::File: return std::make_unique<FilePlace>(setting.path);
        case StoreKind::Ephemeral: return std::make_unique<NoPlace>();
    }
    return std::make_unique<NoPlace>();
}

std::unique_ptr<KeyStore> make_key_store(const StoreSetting& setting, EfiVariables& variables,
                                         Log& log) {
    return std::make_unique<KeyStoreIn>(make_place(setting, variables, efi_key_variable, log), log);
}

std::unique_ptr<StateStore> make_state_store(const StoreSetting& setting, EfiVariables& variables,
                                             Log& log) {
    return std::make_unique<StateStoreIn>(make_place(setting, variables, efi_state_variable, log));
}

}  // namespace fortros
