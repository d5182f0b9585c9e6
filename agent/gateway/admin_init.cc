// The admin command init: what a fresh gateway needs and can make by itself. What is there stays as it is,
// so that it can be given again whenever something was added.
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>

#include "base/encoding.h"
#include "core/crypto.h"
#include "gateway/admin_parts.h"
#include "gateway/credentials.h"
#include "gateway/settings_template.h"
#include "os/files.h"
#include "os/random.h"

namespace fortros::gateway {

static constexpr mode_t secret_mode = 0600;
static constexpr mode_t public_mode = 0644;
static constexpr mode_t folder_mode = 0700;

static bool exists(const std::string& path) { return ::access(path.c_str(), F_OK) == 0; }

static std::string line(bool is_new, const std::string& path) {
    return (is_new ? "made  " : "kept  ") + path + "\n";
}

static Outcome<std::vector<Endpoint>> endpoints_of(const Arguments& arguments) {
    std::vector<Endpoint> endpoints;
    for (const auto& word : arguments.values("--endpoint"))
        endpoints.push_back(TRY(or_exit(ExitCode::Usage, wireguard_endpoint_setting(word))));
    return endpoints;
}

// Whether it was made. It must be complete at once: no gateway guesses where nodes reach it.
static Outcome<bool> make_settings(const Arguments& arguments, const std::string& path) {
    const auto endpoints = TRY(endpoints_of(arguments));
    if (exists(path)) {
        if (endpoints.empty()) return false;
        return failure(ExitCode::Usage, "there is a file '" + path +
                                            "' already, and it is left as it is: write Endpoints= "
                                            "into it yourself");
    }
    if (endpoints.empty())
        return failure(ExitCode::Usage,
                       "--endpoint is missing: where do nodes reach this gateway's WireGuard?");
    const auto text = settings_template(endpoints);
    TRY(or_exit(ExitCode::Usage, parse_gateway_settings(text, path)));
    const auto folder = std::filesystem::path(path).parent_path().string();
    if (!folder.empty() && ::mkdir(folder.c_str(), folder_mode) < 0 && errno != EEXIST)
        return or_exit<bool>(ExitCode::Failure,
                             fail_errno(errno, "cannot make the folder '" + folder + "'"));
    TRY(or_exit(ExitCode::Failure, write_new_file(path, as_bytes(text), public_mode)));
    return true;
}

static Outcome<bool> make_wireguard_key(const std::string& path) {
    if (exists(path)) {
        TRY(or_exit(ExitCode::Credentials, load_wireguard_key(path)));
        return false;
    }
    KernelRandom random;
    const auto key = crypto::make_private_key(random);
    const std::string text = to_base64(key.view()) + "\n";
    TRY(or_exit(ExitCode::Failure, write_new_file(path, as_bytes(text), secret_mode)));
    return true;
}

// What is missing, in the order in which it comes.
static std::string next_steps(const GatewaySettings& settings, const std::string& path) {
    const auto missing = [](std::initializer_list<const std::string*> files) {
        std::string names;
        for (const auto* file : files)
            if (!exists(*file)) names += " " + *file;
        return names;
    };
    const std::string config = path == default_gateway_settings_path ? "" : " --config " + path;
    const std::string of_org = missing(
        {&settings.org_file, &settings.ca, &settings.signer_certificate, &settings.signer_key});
    const std::string own = missing({&settings.certificate, &settings.certificate_key});
    std::string text;
    if (!of_org.empty())
        text += "Copy from the organisation, which certs/make-org makes where the CA is:" + of_org +
                "\n";
    if (!own.empty())
        text +=
            "Make the gateway's other keys with certs/gateway-keys, and have them certified "
            "with certs/issue-gateway where the CA is:" +
            own + "\n";
    if (!exists(settings.org_file))
        text += "Then give fortros-gateway init" + config + " again: it makes the registry.\n";
    text += "fortros-gateway check" + config + " says whether all fits.\n";
    text += "fortros-gateway serve" + config +
            " admits nodes that come with an invite: "
            "fortros-gateway invite create" +
            config + "\n";
    return text;
}

Outcome<Said> init(const Arguments& arguments, const std::string& path) {
    std::string done = line(TRY(make_settings(arguments, path)), path);
    const auto text = TRY(or_exit(ExitCode::Settings, read_file(path, settings_file_limit)));
    auto settings = TRY(or_exit(ExitCode::Settings, parse_gateway_settings(text, path)));
    done += line(TRY(make_wireguard_key(settings.private_key)), settings.private_key);
    if (exists(settings.org_file)) {
        settings = TRY(or_exit(ExitCode::Settings, load_gateway_settings(path)));
        const bool is_new = settings.etcd.endpoints.empty() && !exists(settings.database);
        TRY(open_registry(settings));
        done += settings.etcd.endpoints.empty() ? line(is_new, settings.database)
                                                : "found the registry in etcd\n";
    }
    return Said{.out = SecretBytes(done), .note = next_steps(settings, path)};
}

}  // namespace fortros::gateway
