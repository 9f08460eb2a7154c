// OpenMP's threads spin while they wait, which is fine alone on a machine and ruinous beside other
// work: with two busy neighbours on two cores a training step took ten times as long. The runtime
// reads its wait policy from the environment before main(), so a program started without one starts
// itself again with OMP_WAIT_POLICY=passive. docs/decisions/0004.
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
void wait_passively(int /*argc*/, char** argv, char** envp) {
  constexpr int kMost = 4096;
  static char passive[] = "OMP_WAIT_POLICY=passive";
  static char* environment[kMost + 2];
  int count = 0;
  for (; envp[count] != nullptr; ++count) {
    if (count >= kMost || is_setting(envp[count], "OMP_WAIT_POLICY") ||
        is_setting(envp[count], "GOMP_SPINCOUNT")) {
      return;
    }
    environment[count] = envp[count];
  }
  environment[count] = passive;
  execve("/proc/self/exe", argv, environment);  // where it fails the program goes on as it is
}

using Starter = void (*)(int, char**, char**);
[[gnu::section(".preinit_array"), gnu::used]] const Starter kWaitPassively = wait_passively;

}  // namespace
#endif
