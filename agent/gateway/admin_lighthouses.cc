// The admin commands about lighthouses: members that everybody reaches, and so is told of.
#include <algorithm>

#include "core/table.h"
#include "gateway/admin_parts.h"
#include "os/clock.h"

namespace fortros::gateway {

static Result<std::vector<Endpoint>> endpoints_of(const Arguments& arguments,
                                                  const GatewaySettings& settings) {
    std::vector<Endpoint> endpoints;
    for (const auto& word : arguments.values("--endpoint")) {
        const auto endpoint = TRY(wireguard_endpoint_setting(word));
        TRY(check_endpoint(endpoint, settings.prefix));
        if (std::ranges::contains(endpoints, endpoint))
            return fail(ErrorCode::InvalidArgument, endpoint.text() + " is named twice");
        endpoints.push_back(endpoint);
    }
    if (endpoints.empty())
        return fail(ErrorCode::InvalidArgument,
                    "--endpoint is missing: where does everybody reach its WireGuard?");
    if (endpoints.size() > member_endpoints_limit)
        return fail(ErrorCode::InvalidArgument,
                    "more than " + std::to_string(member_endpoints_limit) + " endpoints");
    return endpoints;
}

static Outcome<NodeRecord> change(const Arguments& arguments, const GatewaySettings& settings,
                                  const std::vector<Endpoint>& endpoints) {
    auto registry = TRY(open_registry(settings));
    const auto nodes = TRY(or_exit(ExitCode::Database, registry->nodes_since(0)));
    const auto node = TRY(find_node(arguments.words[0], nodes));
    return decided(registry->set_lighthouse(node.key, endpoints, actor(), wall_now()));
}

Outcome<Said> set_lighthouse(const Arguments& arguments, const GatewaySettings& settings) {
    const auto endpoints = TRY(or_exit(ExitCode::Usage, endpoints_of(arguments, settings)));
    const auto node = TRY(change(arguments, settings, endpoints));
    return Said{.note = node.overlay_address.text() + " is a lighthouse at " +
                        text_of(node.endpoints) + "; nodes are told of it from now on\n"};
}

Outcome<Said> unset_lighthouse(const Arguments& arguments, const GatewaySettings& settings) {
    const auto node = TRY(change(arguments, settings, {}));
    return Said{.note = node.overlay_address.text() +
                        " is a node like others; nodes that know it as a lighthouse hear of it by "
                        "the member feed or at their next join\n"};
}

Outcome<Said> list_lighthouses(const Arguments& arguments, const GatewaySettings& settings) {
    auto registry = TRY(open_registry(settings));
    auto nodes = TRY(or_exit(ExitCode::Database, registry->nodes_since(0)));
    std::erase_if(nodes, [](const NodeRecord& node) {
        return node.role != Role::Lighthouse || !node.is_member();
    });
    std::ranges::sort(nodes, {}, [](const NodeRecord& node) {
        return std::pair(node.enrolled, node.overlay_address);
    });
    Json list{Json::Array{}};
    std::vector<std::vector<std::string>> rows;
    for (const auto& node : nodes) {
        Json json{Json::Object{}};
        json.set("overlay_address", node.overlay_address.text());
        json.set("public_key", node.key.base64());
        json.set("hostname", node.hostname);
        Json endpoints{Json::Array{}};
        for (const auto& endpoint : node.endpoints) endpoints.push(endpoint.text());
        json.set("endpoints", std::move(endpoints));
        json.set("attested_until", json_of(node.attested_until));
        list.push(std::move(json));
        rows.push_back({node.overlay_address.text(), node.hostname, text_of(node.endpoints),
                        text_of(node.attested_until), node.key.base64()});
    }
    if (arguments.has("--json")) return say_list(list);
    return say(to_table(
        {"OVERLAY ADDRESS", "HOSTNAME", "ENDPOINTS", "ATTESTED UNTIL", "PUBLIC KEY"}, rows));
}

}  // namespace fortros::gateway
