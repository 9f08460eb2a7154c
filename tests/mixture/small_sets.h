#pragma once

#include "data/mixture/mixture.h"
#include "data/record.h"
#include "data/unified.h"
#include "tests/data/scratch.h"

#include <nlohmann/json.hpp>

#include <fstream>
#include <iterator>
#include <map>
#include <string>
#include <vector>

namespace finer::data {

/// One class of a made set: its fine labels and how many pictures it has.
struct SmallClass {
  std::vector<std::string> fine;
  int pictures = 4;
  std::vector<std::string> coarse = {"Jays", "Crows"};
  std::string superordinate = "Bird";
};

/// Writes KEY.jsonl; picture paths are KEY/CLASS/N.jpg, by the class's name, not its number.
inline std::string write_set(const Scratch& scratch, const std::string& key,
                             const std::vector<SmallClass>& classes) {
  std::string lines;
  int64_t idx = 0;
  for (const auto& c : classes) {
    for (int i = 0; i < c.pictures; ++i) {
      UnifiedRecord record;
      record.idx = idx++;
      record.superordinate = c.superordinate;
      record.coarse = c.coarse;
      record.fine = c.fine;
      record.img_path = key + "/" + c.fine.back() + "/" + std::to_string(i) + ".jpg";
      lines += unified_line(record) + "\n";
    }
  }
  return scratch.write(key + ".jsonl", lines).string();
}

/// Writes KEY-attributes.json: each name has "red NAME" and "long tail", and perhaps "a crest".
inline std::string write_attributes(const Scratch& scratch, const std::string& key,
                                    const std::vector<std::string>& names) {
  nlohmann::json list = nlohmann::json::array();
  for (const auto& name : names) {
    list.push_back(
        {{"id", list.size()},
         {"name", name},
         {"attr_binomial", {{"required", {"red " + name, "long tail"}}, {"likely", {"a crest"}}}}});
  }
  return scratch.write(key + "-attributes.json", list.dump()).string();
}

/// A set of `count` classes with attributes: "KEY 0", "KEY 1", ...
inline MixtureSet small_set(const Scratch& scratch, const std::string& key, int count,
                            int pictures = 4) {
  std::vector<SmallClass> classes;
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.push_back(key + " " + std::to_string(i));
    classes.push_back({{names.back()}, pictures});
  }
  MixtureSet set;
  set.key = key;
  set.records = write_set(scratch, key, classes);
  set.attributes = {write_attributes(scratch, key, names)};
  return set;
}

inline MixtureConfig small_mixture(const Scratch& scratch, std::vector<MixtureSet> sets) {
  MixtureConfig config;
  config.sets = std::move(sets);
  config.output = (scratch.root() / "out.jsonl").string();
  config.seed = 7;
  return config;
}

inline MixtureSummary mix(const MixtureConfig& config) {
  return write_mixture(config, "test", [](const std::string&) {});
}

inline std::string bytes_of(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

inline std::vector<std::string> lines_of(const std::filesystem::path& file) {
  std::vector<std::string> lines;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The samples of a JSONL mixture, by id.
inline std::map<std::string, Sample> samples_of(const std::filesystem::path& file) {
  std::map<std::string, Sample> samples;
  for (const auto& line : lines_of(file)) {
    Sample sample = parse_sample(line, 0);
    samples.emplace(sample.id, std::move(sample));
  }
  return samples;
}

/// The class of a picture KEY/CLASS/N.jpg.
inline std::string class_of_image(const std::string& image) {
  return std::filesystem::path(image).parent_path().filename().string();
}

}  // namespace finer::data
