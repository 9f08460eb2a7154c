#pragma once

#include <string>

namespace finer::dist {

/// The address by which this machine talks to `host`: where the others of the job find it. Throws:
/// ConfigError when the host's name is not known, or no network leads there.
std::string own_address(const std::string& host, int port);

/// This machine's name.
std::string host_name();

}  // namespace finer::dist
