#pragma once

#include "tests/core/temporary_folder.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>

namespace finer::data {

/// A folder of this test's own.
class Scratch {
 public:
  const std::filesystem::path& root() const { return folder_.path(); }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    const auto path = root() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary).write(bytes.data(), static_cast<long>(bytes.size()));
    return path;
  }

 private:
  TemporaryFolder folder_;
};

/// The message of what `body` throws as an Exception, "(nothing)" where it throws none.
template <class Exception, class Body>
std::string thrown(const Body& body) {
  try {
    body();
  } catch (const Exception& error) {
    return error.what();
  }
  return "(nothing)";
}

}  // namespace finer::data
