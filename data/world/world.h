#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

namespace finer::data {

/// What a world is made from: the same settings give the same bytes. Pictures are counted a
/// concept.
struct WorldSettings {
  uint64_t seed = 0;
  int64_t concepts = 15;           // a coarse group
  int64_t held_out = 3;            // of them
  int64_t specimens = 8000;        // pictures without a name, in all
  int64_t train_pictures = 20;     // of known concepts
  int64_t known_pictures = 3;      // of known concepts, for the test
  int64_t held_out_pictures = 10;  // of held-out concepts, for the test
  int64_t probe_pictures = 12;     // of all concepts, a quarter for the test of the linear probe
  int64_t side_px = 48;
  int64_t chats = 4;  // about each specimen, 1 to 4
  int64_t vocab_size = 300;
};

/// What a world holds, by its manifest.
struct WorldSummary {
  int64_t known = 0, held_out = 0;  // concepts
  int64_t pictures = 0;             // files
  int64_t text_records = 0;         // questions about text, plain sentences
  int64_t visual_records = 0;       // chats about specimens
  double mean_name_pieces = 0;      // tokens a name
  bool was_there = false;           // nothing was written
};

enum class Existing {
  kKeep,      // a whole world of the same settings is left as it is; another one is an error
  kOverwrite  // replaced
};

/// Draws a world into the folder `out`: pictures, tokenizer, training conversations, unified
/// records and attributes, with `world.json`, the manifest (data/world/README.md names every file).
/// It is written beside under another name and renamed when whole; training files are checked for
/// held-out pictures before (leaks.h).
///
/// threads   drawing at a time; changes nothing in the result
/// progress  is told what is done, from the calling thread
/// Throws: DataError for settings that fit no world and for an `out` that holds something else;
///         Error when a file cannot be written.
WorldSummary write_world(const WorldSettings& settings, const std::filesystem::path& out,
                         Existing existing, int64_t threads,
                         const std::function<void(std::string_view)>& progress);

}  // namespace finer::data
