#include "finer/dist/address.h"

#include "finer/core/error.h"

#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>

namespace finer::dist {

std::string own_address(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_DGRAM;
  addrinfo* found = nullptr;
  const int fault = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (fault != 0) {
    throw ConfigError("MASTER_ADDR: \"" + host + "\" is not known here (" + gai_strerror(fault) +
                      "); expected the name or address of rank 0's machine");
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> hold(found, freeaddrinfo);
  int last_errno = 0;
  for (const addrinfo* at = found; at != nullptr; at = at->ai_next) {
    const int fd = socket(at->ai_family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;
    // Of a datagram socket this sends nothing: it asks the routing table.
    sockaddr_storage own = {};
    socklen_t size = sizeof own;
    const bool is_there = connect(fd, at->ai_addr, at->ai_addrlen) == 0 &&
                          getsockname(fd, reinterpret_cast<sockaddr*>(&own), &size) == 0;
    last_errno = errno;
    close(fd);
    std::array<char, NI_MAXHOST> text{};
    if (is_there && getnameinfo(reinterpret_cast<sockaddr*>(&own), size, text.data(), text.size(),
                                nullptr, 0, NI_NUMERICHOST) == 0) {
      return text.data();
    }
  }
  throw ConfigError("MASTER_ADDR: no network leads to \"" + host + "\" (" +
                    std::strerror(last_errno) + ")");
}

std::string host_name() {
  std::array<char, 256> text{};
  if (gethostname(text.data(), text.size() - 1) != 0) return "unknown";
  return text.data();
}

}  // namespace finer::dist
