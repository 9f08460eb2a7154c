#pragma once

#include "data/readers/reader.h"
#include "finer/core/error.h"
#include "tests/data/scratch.h"

#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace finer::data {

/// A set's folder of this test's own, and what its reader makes of it.
class SetFolder {
 public:
  explicit SetFolder(std::string key) : key_(std::move(key)) { options.root = root(); }

  const std::filesystem::path& root() const { return scratch_->root(); }
  std::filesystem::path write(const std::string& name, std::string_view bytes) const {
    return scratch_->write(name, bytes);
  }

  std::vector<UnifiedRecord> read() const {
    std::vector<UnifiedRecord> records;
    find_reader(key_).read(options,
                           [&](const UnifiedRecord& record) { records.push_back(record); });
    return records;
  }
  /// The message it ends with, the folder's path taken out: "(nothing)" where it ends well.
  std::string fault() const {
    std::string message = thrown<DataError>([&] { read(); });
    const std::string path = root().string() + "/";
    for (size_t at = 0; (at = message.find(path)) != std::string::npos;)
      message.erase(at, path.size());
    return message;
  }
  /// Puts one of tests/readers/fixtures under `name`.
  void add_fixture(const std::string& fixture, const std::string& name) const {
    const auto to = root() / name;
    std::filesystem::create_directories(to.parent_path());
    std::filesystem::copy_file(
        std::filesystem::path(FINER_SOURCE_DIR) / "tests/readers/fixtures" / fixture, to,
        std::filesystem::copy_options::overwrite_existing);
  }

  ReaderOptions options;

 private:
  std::unique_ptr<Scratch> scratch_ = std::make_unique<Scratch>();
  std::string key_;
};

using Labels = std::vector<std::string>;

}  // namespace finer::data
