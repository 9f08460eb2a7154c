// OpenMP's threads spin for milliseconds while they wait, which is fine alone on a machine and
// ruinous beside other work. The runtime reads how long from the environment before main(), so a
// program started without a setting starts itself again with a short one: docs/decisions/0004.
#include <unistd.h>

#include <cstring>

#if defined(__linux__) && !defined(__SANITIZE_ADDRESS__)
namespace {

bool is_setting(const char* entry, const char* name) {
  const size_t length = std::strlen(name);
  return std::strncmp(entry, name, length) == 0 && entry[length] == '=';
}

// Runs before the constructors of the shared libraries, whose loading it would otherwise pay twice.
// Nothing of the C library may be used here that needs its own constructor.
void spin_briefly(int /*argc*/, char** argv, char** envp) {
  constexpr int kMost = 4096;
  static char brief[] = "GOMP_SPINCOUNT=4000";
  static char* environment[kMost + 2];
  int count = 0;
  for (; envp[count] != nullptr; ++count) {
    if (count >= kMost || is_setting(envp[count], "OMP_WAIT_POLICY") ||
        is_setting(envp[count], "GOMP_SPINCOUNT")) {
      return;
    }
    environment[count] = envp[count];
  }
  environment[count] = brief;
  execve("/proc/self/exe", argv, environment);  // where it fails the program goes on as it is
}

using Starter = void (*)(int, char**, char**);
[[gnu::section(".preinit_array"), gnu::used]] const Starter kSpinBriefly = spin_briefly;

}  // namespace
#endif
