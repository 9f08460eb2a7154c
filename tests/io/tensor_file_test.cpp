#include "finer/io/tensor_file.h"

#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/core/rng.h"
#include "tests/core/temporary_folder.h"
#include "tests/io/test_files.h"

#include <ATen/ATen.h>
#include <catch2/catch.hpp>
#include <sys/stat.h>

#include <string>
#include <vector>

namespace fs = std::filesystem;

namespace {

using Catch::Contains;

void write_index(const fs::path& path, const std::string& weight_map) {
  finer::write_bytes(path, "{\"metadata\":{\"total_size\":8},\"weight_map\":{" + weight_map + "}}");
}

}  // namespace

TEST_CASE("files that are no weights at all are told apart", "[io]") {
  const finer::TemporaryFolder folder;
  const auto error = [&](const std::string& bytes) {
    return finer::error_of_reading(finer::write_bytes(folder / "x", bytes));
  };
  CHECK(error("") == (folder / "x").string() + ": is empty");
  CHECK_THAT(error("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 7\n"),
             Contains("is a Git LFS pointer, not the weights; run: git lfs pull"));
  CHECK_THAT(error("<!DOCTYPE html>"), Contains("is neither a safetensors file nor"));
  CHECK_THAT(finer::error_of_reading(folder / "none"),
             Contains("none: cannot be read: No such file or directory"));
  CHECK_THAT(finer::error_of_reading(folder.path()), Contains("it is a folder, expected a file"));
  REQUIRE(::mkfifo((folder / "pipe").c_str(), 0600) == 0);
  CHECK_THAT(finer::error_of_reading(folder / "pipe"), Contains("it is not a regular file"));
}

TEST_CASE("a safetensors header whose length spells a zip or a pickle is still safetensors",
          "[io]") {
  const finer::TemporaryFolder folder;
  std::string header = "{}";
  header.resize(0x280, ' ');  // the length's first bytes are those of a pickle of protocol 2
  CHECK(finer::error_of_reading(
            finer::write_bytes(folder / "x", finer::safetensors_bytes(header, ""))) == "");
  header.resize(0x04034b50, ' ');  // "PK\3\4"
  CHECK(finer::error_of_reading(
            finer::write_bytes(folder / "x", finer::safetensors_bytes(header, ""))) == "");
}

TEST_CASE("weight files of a folder are found in order of preference", "[io]") {
  const finer::TemporaryFolder folder;
  const auto a = at::ones({1}), b = at::zeros({1});
  CHECK_THROWS_WITH(finer::find_weight_files(folder / "none"), Contains("no such file or folder"));
  finer::write_bytes(folder / "config.json", "{}");
  CHECK_THROWS_WITH(finer::find_weight_files(folder.path()),
                    Contains("expected model.safetensors") && Contains("found config.json"));

  fs::copy_file(finer::golden_file("nested_model.bin"), folder / "pytorch_model-1.bin");
  write_index(folder / "pytorch_model.bin.index.json",
              "\"weight\":\"pytorch_model-1.bin\","
              "\"bias\":\"pytorch_model-1.bin\"");
  CHECK(finer::find_weight_files(folder.path()) ==
        std::vector<fs::path>{folder / "pytorch_model-1.bin"});

  fs::copy_file(finer::golden_file("state_dict.bin"), folder / "pytorch_model.bin");
  CHECK(finer::find_weight_files(folder.path()) ==
        std::vector<fs::path>{folder / "pytorch_model.bin"});

  finer::save_safetensors(folder / "model-2.safetensors", {{"b", b}});
  finer::save_safetensors(folder / "model-1.safetensors", {{"a", a}});
  write_index(folder / "model.safetensors.index.json",
              "\"b\":\"model-2.safetensors\",\"a\":\"model-1.safetensors\"");
  CHECK(finer::find_weight_files(folder.path()) ==
        std::vector<fs::path>{folder / "model-1.safetensors", folder / "model-2.safetensors"});

  finer::save_safetensors(folder / "model.safetensors", {{"a", a}, {"b", b}});
  CHECK(finer::find_weight_files(folder.path()) ==
        std::vector<fs::path>{folder / "model.safetensors"});
  CHECK(finer::find_weight_files(folder / "config.json") ==
        std::vector<fs::path>{folder / "config.json"});
}

TEST_CASE("an index must agree with its shards and stay in its folder", "[io]") {
  const finer::TemporaryFolder folder;
  const auto one = at::ones({1});
  fs::create_directory(folder / "model");
  const fs::path model = folder / "model";
  const auto index = model / "model.safetensors.index.json";
  finer::save_safetensors(model / "1.safetensors", {{"a", one}});
  finer::save_safetensors(model / "2.safetensors", {{"a", one}, {"b", one}});
  finer::save_safetensors(folder / "outside.safetensors", {{"a", one}});
  const auto error = [&](const std::string& weight_map) -> std::string {
    write_index(index, weight_map);
    try {
      finer::find_weight_files(model);
    } catch (const finer::CheckpointError& error) {
      return error.what();
    }
    return "";
  };
  CHECK(error("\"a\":\"1.safetensors\"") == "");
  CHECK_THAT(error("\"a\":\"3.safetensors\""),
             Catch::StartsWith(index.string()) &&
                 Contains("names \"3.safetensors\", which is not in the folder"));
  CHECK_THAT(error("\"a\":\"1.safetensors\",\"b\":\"1.safetensors\""),
             Contains("tensor \"b\" is said to be in \"1.safetensors\", which does not hold it"));
  CHECK_THAT(error("\"a\":\"1.safetensors\",\"b\":\"2.safetensors\""),
             Contains("but \"2.safetensors\" holds one of that name too"));
  finer::log::add_file(folder / "log");
  CHECK(error("\"b\":\"2.safetensors\"") == "");
  CHECK_THAT(finer::read_bytes(folder / "log"), Contains("warning: " + index.string() +
                                                         ": does not list 1 of the tensors in "
                                                         "\"2.safetensors\", among them \"a\""));
  for (const std::string escape : {"../outside.safetensors", "/etc/passwd", "..", "sub/x", ""}) {
    CHECK_THAT(error("\"a\":\"" + escape + "\""),
               Contains("\"" + escape + "\", expected the name of a file in the same folder"));
  }
  CHECK_THAT(error("\"a\":1"), Contains("is not text"));
  CHECK_THAT(error(""), Contains("its \"weight_map\" is empty"));
  CHECK_THAT(error("\"a\":\"1.safetensors\",\"a\":\"2.safetensors\""),
             Contains("names \"a\" twice"));
  finer::write_bytes(index, "[]");
  CHECK_THROWS_WITH(finer::find_weight_files(model), Contains("has no object \"weight_map\""));
  finer::write_bytes(index, "");
  CHECK_THROWS_WITH(finer::find_weight_files(model), Contains("is not valid JSON"));
}

TEST_CASE("flipped bytes and cuts end in an error or in tensors, never in a crash", "[io][slow]") {
  const finer::TemporaryFolder folder;
  const auto path = folder / "x";
  int num_errors = 0, num_read = 0;
  for (const char* name : {"dtypes.safetensors", "state_dict.bin", "protocol4.bin",
                           "nested_state_dict.bin", "nested_model.bin"}) {
    const auto original = finer::read_bytes(finer::golden_file(name));
    finer::Rng rng(finer::hash_bytes(name));
    for (int round = 0; round < 1500; ++round) {
      auto bytes = original;
      // Half of the flips go to the first and last part, where headers and directories are.
      const uint64_t num_flips = 1 + rng.below(6);
      for (uint64_t i = 0; i < num_flips; ++i) {
        const uint64_t near = rng.below(std::min<uint64_t>(900, bytes.size()));
        const uint64_t place = rng.below(2) == 0   ? rng.below(bytes.size())
                               : rng.below(2) == 0 ? near
                                                   : bytes.size() - 1 - near;
        const uint64_t kind = rng.below(3);
        bytes[place] = static_cast<char>(kind == 0   ? rng.next()
                                         : kind == 1 ? bytes[place] ^ (1 << rng.below(8))
                                                     : 0xff);
      }
      if (rng.below(10) == 0) bytes.resize(rng.below(bytes.size()));
      CAPTURE(name, round);
      ++(finer::error_of_reading(finer::write_bytes(path, bytes)).empty() ? num_read : num_errors);
    }
  }
  // Both ends are reached, so the flips are neither harmless nor all fatal.
  CHECK(num_errors > 1000);
  CHECK(num_read > 300);
}
