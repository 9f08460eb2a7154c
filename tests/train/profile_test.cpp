#include "finer/train/profile.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <sstream>

namespace {

namespace fs = std::filesystem;

std::string contents(const fs::path& file) {
  std::ifstream in(file);
  std::ostringstream out;
  out << in.rdbuf();
  return out.str();
}

}  // namespace

TEST_CASE("a profile lists the most expensive first, with shares of the step", "[profile]") {
  const auto text = finer::profile_text(
      {{"small", 3, 1'000'000}, {"large", 2, 6'500'000}, {"none", 1, 0}}, 10'000'000, 2);
  CHECK(text ==
        "step of 10.0 ms under the profiler, 6 calls, 7.5 ms in them (75.0 %)\n"
        "     ms      %  calls  name\n"
        "    6.5   65.0      2  large\n"
        "    1.0   10.0      3  small\n");
  CHECK(finer::profile_text({}, 0, 5).find("0 calls") != std::string::npos);
}

TEST_CASE("a profile of a piece of work names its operators", "[profile]") {
  const auto folder = fs::temp_directory_path() / "finer-profile-test";
  fs::remove_all(folder);
  finer::StepProfile profile(at::kCPU);
  const auto x = at::ones({300, 300});
  for (int i = 0; i < 5; ++i) at::mm(x, x);
  const auto line = profile.finish(folder, 7);
  CHECK(line.find("step-7.txt: step of ") != std::string::npos);
  const auto text = contents(folder / "step-7.txt");
  const auto row = text.find("aten::mm");
  REQUIRE(row != std::string::npos);
  CHECK(text.substr(0, row).find("      5  ") != std::string::npos);
  CHECK(contents(folder / "step-7.json").find("aten::mm") != std::string::npos);
  fs::remove_all(folder);
}

TEST_CASE("a profile that nobody asks for is thrown away", "[profile]") {
  { const finer::StepProfile profile(at::kCPU); }
  const finer::StepProfile next(at::kCPU);  // only one may run at a time
  CHECK(at::ones({2}).sum().item<double>() == 2);
}
