#include "tools/cli.h"

#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/peer_error.h"

#include <malloc.h>
#include <sys/prctl.h>

#include <cstdio>
#include <cstdlib>
#include <iostream>

namespace finer::cli {

std::string version_text() {
  const std::string cuda = FINER_CUDA_VERSION;
  return std::string("finer ") + FINER_VERSION + " (commit " + FINER_COMMIT + ", LibTorch " +
         FINER_TORCH_VERSION + ", CUDA " + (cuda.empty() ? "kernels not built" : cuda) + ")";
}

namespace {

// Tensors of a step come and go in the same sizes: their pages stay with the process, up to 256 MiB
// that nobody uses. Asking the kernel for them anew with every step takes a twentieth of the time.
void keep_freed_memory() {
#ifdef __GLIBC__
  mallopt(M_MMAP_THRESHOLD, 32 << 20);
  mallopt(M_TRIM_THRESHOLD, 256 << 20);
  mallopt(M_TOP_PAD, 16 << 20);
#endif
}

// Ends the program. Everything of its own is closed by now; taking apart LibTorch's tables of
// operators is left out, which is a tenth of a second, and as long again where a parent waits.
int leave(const std::string& program, int exit_code) {
  if (!std::cout.flush() && exit_code == 0) {
    std::cerr << program << ": standard output cannot be written, what was to be there is cut off"
              << std::endl;
    exit_code = 1;
  }
  std::fflush(nullptr);
#ifndef FINER_SANITIZE  // sanitizers report at an exit
  std::_Exit(exit_code);
#endif
  return exit_code;
}

int exit_code_of(const std::string& program, const std::function<int()>& body) {
  try {
    return body();
  } catch (const ReportedError& error) {
    return error.exit_code;
  } catch (const PeerError& error) {
    std::cerr << program << ": " << error.what() << std::endl;
    return 1;
  } catch (const Error& error) {
    std::cerr << program << ": " << error.what() << std::endl;
    return 2;
  } catch (const std::exception& error) {
    const std::string what = error.what();  // LibTorch adds its stack in further lines
    std::cerr << program << ": internal error: " << what.substr(0, what.find('\n')) << std::endl;
    return 1;
  }
}

}  // namespace

int run(const std::string& program, const std::function<int()>& body) {
  keep_freed_memory();
  prctl(PR_SET_NAME, program.c_str());  // a program that starts itself again is called "exe" in ps
  return leave(program, exit_code_of(program, body));
}

}  // namespace finer::cli
