#include "data/mixture/manifest.h"

#include "finer/core/error.h"
#include "finer/core/sha256.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <utility>

namespace finer::data {

namespace {

using Json = nlohmann::ordered_json;

std::pair<std::string, uint64_t> hash_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path)) {
    throw DataError(path + ": cannot be opened: " + std::strerror(in ? EISDIR : errno));
  }
  Sha256 hash;
  uint64_t bytes = 0;
  std::string piece(size_t{1} << 18, '\0');
  while (in.read(piece.data(), static_cast<std::streamsize>(piece.size())), in.gcount() > 0) {
    const auto count = static_cast<size_t>(in.gcount());
    hash.update(std::string_view(piece).substr(0, count));
    bytes += count;
  }
  if (in.bad()) throw DataError(path + ": cannot be read: " + std::strerror(errno));
  return {hash.finish(), bytes};
}

Json class_counts(const SetScan& scan) {
  Json classes = Json::array();
  for (const auto& it : scan.classes()) {
    classes.push_back({{"name", it.name},
                       {"records", it.records},
                       {"available", it.available},
                       {"pictures", it.taken}});
  }
  return classes;
}

}  // namespace

std::vector<InputFile> open_inputs(const MixtureConfig& config) {
  std::vector<std::pair<std::string, std::string>> files;
  for (const auto& set : config.sets) {
    files.emplace_back("records of " + set.key, set.records);
    for (const auto& file : set.attributes) files.emplace_back("attributes of " + set.key, file);
  }
  std::sort(files.begin(), files.end());
  if (!config.templates.empty()) files.emplace_back("templates", config.templates);
  if (!config.mix.empty()) files.emplace_back("mix", config.mix);
  std::vector<InputFile> inputs;
  for (auto& [role, path] : files) {
    const auto same = std::find_if(inputs.begin(), inputs.end(),
                                   [&](const InputFile& other) { return other.path == path; });
    auto hash =
        same != inputs.end() ? same->hash : std::async(std::launch::async, hash_file, path).share();
    inputs.push_back({role, path, std::move(hash)});
  }
  return inputs;
}

std::filesystem::path manifest_path(const std::string& output) {
  return std::filesystem::path(output).replace_extension(".manifest.json");
}

std::string manifest_text(const MixtureConfig& config, const std::string& program,
                          const Templates& templates, const std::vector<InputFile>& inputs,
                          const OutputFile& output, const MixtureSummary& summary,
                          const std::vector<SetScan>& scans, const HoldOut& hold_out) {
  Json root;
  root["program"] = program;
  root["output"] = {{"file", std::filesystem::path(config.output).filename().string()},
                    {"sha256", output.sha256},
                    {"bytes", output.bytes},
                    {"samples", summary.samples}};
  root["kind"] = config.kind;
  root["seed"] = config.seed;
  root["recipe"] = mixture_to_yaml(config);
  for (const auto& input : inputs) {
    const auto& [sha256, bytes] = input.hash.get();
    root["inputs"].push_back(
        {{"role", input.role}, {"file", input.path}, {"sha256", sha256}, {"bytes", bytes}});
  }
  root["templates"] = {{"from", templates.name()}, {"sha256", templates.sha256()}};
  root["mix"] = {{"samples", summary.mix_samples}, {"left_out", summary.mix_left_out}};
  root["hold_out"] = {{"sets", config.hold_out},
                      {"strict", config.strict_hold_out},
                      {"pictures_looked_for", hold_out.num_images()},
                      {"names_looked_for", hold_out.num_names()},
                      {"pictures_in_the_output", 0}};
  Json sets = Json::object();
  for (const auto& scan : scans) {
    const auto set = std::find_if(summary.sets.begin(), summary.sets.end(),
                                  [&](const SetSummary& s) { return s.key == scan.set().key; });
    FINER_CHECK(set != summary.sets.end(), "a summary for each set");
    Json& entry = sets[set->key];
    entry["records"] = set->records;
    entry["available"] = set->available;
    entry["pictures"] = set->pictures;
    entry["samples"] = set->samples;
    entry["spread_over"] = scan.spread();
    entry["classes_without_attributes"] = set->without_attributes;
    entry["records_without_coarse"] = set->without_coarse;
    entry["names_shared_with_held_out"] = set->shared_with_held_out;
    entry["samples_of_shared_names"] = set->shared_samples;
    entry["held_out_pictures_left_out"] = set->shared_pictures_left_out;
    entry["ambiguous_attribute_names"] = scan.ambiguous_names();
    entry["classes"] = class_counts(scan);
  }
  root["sets"] = std::move(sets);
  return root.dump(1) + "\n";
}

}  // namespace finer::data
