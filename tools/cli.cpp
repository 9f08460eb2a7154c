#include "tools/cli.h"

#include "finer/core/build_info.h"
#include "finer/core/error.h"
#include "finer/core/peer_error.h"

#include <iostream>

namespace finer::cli {

std::string version_text() {
  const std::string cuda = FINER_CUDA_VERSION;
  return std::string("finer ") + FINER_VERSION + " (commit " + FINER_COMMIT + ", LibTorch " +
         FINER_TORCH_VERSION + ", CUDA " + (cuda.empty() ? "kernels not built" : cuda) + ")";
}

int run(const std::string& program, const std::function<int()>& body) {
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

}  // namespace finer::cli
