#include "maintainer/serf_setup.h"

#include <algorithm>
#include <optional>

#include "base/encoding.h"
#include "base/text.h"
#include "core/json.h"
#include "maintainer/serf_membership.h"
#include "os/files.h"

namespace fortros {

static constexpr std::size_t config_limit = std::size_t{16} * 1024;
static constexpr std::size_t key_file_limit = 256;
static constexpr std::size_t cluster_key_size = 32;
static constexpr std::size_t password_size = 24;

static Result<std::string> read_cluster_key(const std::string& path) {
    const auto content = TRY(read_secret_file(path, key_file_limit));
    const std::string text(trim(content.text()));
    const auto key = from_base64(text);
    if (!key || key->size() != cluster_key_size)
        return fail(ErrorCode::InvalidData, "'" + path + "' does not hold 32 bytes in base64",
                    "make one with: serf keygen");
    return text;
}

static std::optional<std::string> password_in(const std::string& path) {
    const auto text = read_file(path, config_limit);
    if (!text) return std::nullopt;
    const auto config = Json::parse(*text);
    const Json* password = config ? config->find("rpc_auth") : nullptr;
    if (password == nullptr || password->string() == nullptr) return std::nullopt;
    return *password->string();
}

Result<std::string> write_serf_config(const SerfSetup& setup, Random& random) {
    const std::string path = setup.directory + "/" + std::string(serf_config_file);
    const std::string key = TRY(read_cluster_key(setup.key_file));
    auto password = password_in(path);
    if (!password) {
        ByteArray<password_size> dice;
        random.fill(dice);
        password = to_base64url(dice);
    }
    const std::string config =
        serf_config(setup.node, setup.overlay_address, setup.agent, key, *password);
    const auto present = read_file(path, config_limit);
    if (!present || *present != config) TRY(write_file(path, as_bytes(config), 0600));
    return std::move(*password);
}

}  // namespace fortros
