#pragma once

#include "data/mixture/config.h"
#include "data/mixture/hold_out.h"
#include "data/mixture/mixture.h"
#include "data/mixture/set_scan.h"
#include "data/mixture/templates.h"

#include <cstdint>
#include <filesystem>
#include <future>
#include <string>
#include <vector>

namespace finer::data {

/// A file that went in: hashed in a thread of its own while the work goes on.
struct InputFile {
  std::string role, path;
  std::shared_future<std::pair<std::string, uint64_t>> hash;  // SHA-256, bytes
};

/// Every file that the recipe names, templates included, each once.
std::vector<InputFile> open_inputs(const MixtureConfig& config);

/// What was written.
struct OutputFile {
  std::string sha256;
  uint64_t bytes = 0;
};

/// OUTPUT.json -> OUTPUT.manifest.json
std::filesystem::path manifest_path(const std::string& output);

/// The manifest's text: JSON with recipe, seed, hashes, and counts a set and class.
std::string manifest_text(const MixtureConfig& config, const std::string& program,
                          const Templates& templates, const std::vector<InputFile>& inputs,
                          const OutputFile& output, const MixtureSummary& summary,
                          const std::vector<SetScan>& scans, const HoldOut& hold_out);

}  // namespace finer::data
