// What the node's Serf agent is started with (fortros-serf.service): a file in the run directory, made
// by the maintainer, for it knows the node's name and address. It starts no agent.
#pragma once

#include <string>

#include "base/random.h"
#include "base/result.h"
#include "core/address.h"
#include "core/key.h"

namespace fortros {

struct SerfSetup {
    std::string directory;  // where serf.json is, mode 0600
    PublicKey node;
    IpAddress overlay_address;
    Endpoint agent;        // its RPC listener
    std::string key_file;  // 32 bytes in base64, the same on all nodes
};

// Writes the file, and gives back the password in it: the one that is there already where it still says
// the same, so that a maintainer which is restarted finds the agent that runs. NotFound, InvalidData for
// the key; no error repeats it.
Result<std::string> write_serf_config(const SerfSetup& setup, Random& random);

}  // namespace fortros
