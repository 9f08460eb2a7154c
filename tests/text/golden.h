#pragma once

#include "finer/text/conversation.h"

#include <nlohmann/json.hpp>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace finer_test {

namespace fs = std::filesystem;

inline fs::path golden_dir() { return fs::path(FINER_SOURCE_DIR) / "tests/golden/text"; }

inline nlohmann::json read_golden(const std::string& name) {
  std::ifstream in(golden_dir() / name);
  return nlohmann::json::parse(in);
}

inline std::vector<finer::Turn> turns_of(const nlohmann::json& list) {
  std::vector<finer::Turn> turns;
  for (const auto& turn : list) turns.push_back({turn["from"], turn["value"]});
  return turns;
}

// A fresh folder that goes with the object.
class TempDir {
 public:
  explicit TempDir(const std::string& name)
      : path_(fs::temp_directory_path() / ("finer_text_" + name + std::to_string(::getpid()))) {
    fs::remove_all(path_);
    fs::create_directories(path_);
  }
  ~TempDir() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }
  void write(const std::string& name, const std::string& content) const {
    std::ofstream(path_ / name, std::ios::binary) << content;
  }
  void copy_model(const std::string& model = "llama.model") const {
    fs::copy_file(golden_dir() / model, path_ / "tokenizer.model");
  }

 private:
  fs::path path_;
};

}  // namespace finer_test
