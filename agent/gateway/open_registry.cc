#include "gateway/open_registry.h"

#include "gateway/etcd_registry.h"
#include "gateway/sqlite_registry.h"

namespace fortros::gateway {

static constexpr Duration command_patience = 10s;
// An admin's command holds the file for milliseconds. A cluster that has lost its leader needs a
// second or two for the next one, and an enrolment rather waits for that than comes again.
static constexpr Duration server_file_patience = 500ms;
static constexpr Duration server_cluster_patience = 4s;

Result<std::unique_ptr<Registry>> open_registry(const GatewaySettings& settings,
                                                RegistryUser user) {
    const bool serves = user == RegistryUser::Server;
    if (!settings.etcd.endpoints.empty())
        return EtcdRegistry::open(settings.etcd, settings.prefix,
                                  serves ? server_cluster_patience : command_patience);
    return SqliteRegistry::open(settings.database, settings.prefix,
                                serves ? server_file_patience : command_patience);
}

}  // namespace fortros::gateway
