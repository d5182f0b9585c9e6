// The admin commands: invites, nodes, lighthouses, policy and the audit log, straight in the registry, beside a
// gateway that serves. It notices what they change by itself. Text goes to where the caller says; nothing
// is logged.
#pragma once

#include <string>

#include "base/secret.h"
#include "gateway/arguments.h"
#include "gateway/exit_code.h"
#include "gateway/settings.h"

namespace fortros::gateway {

// What a command has to say. Secret, because one of them says an invite.
struct Said {
    SecretBytes out{};   // for standard output
    std::string note{};  // for people, on standard error
};

Outcome<Said> create_invite(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> list_invites(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> revoke_invite(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> list_nodes(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> revoke_node(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> retire_node(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> list_waiting(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> approve_node(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> reject_node(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> set_lighthouse(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> unset_lighthouse(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> list_lighthouses(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> show_policy(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> set_policy(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> publish_policy(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> show_audit(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> check_audit(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> backup(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> restore(const Arguments& arguments, const GatewaySettings& settings);
Outcome<Said> check_config(const Arguments& arguments, const GatewaySettings& settings);
// Before there are settings: `path` is where they will be.
Outcome<Said> init(const Arguments& arguments, const std::string& path);

}  // namespace fortros::gateway
