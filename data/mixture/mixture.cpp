#include "data/mixture/mixture.h"

#include "data/mixture/conversation.h"
#include "data/mixture/hold_out.h"
#include "data/mixture/manifest.h"
#include "data/mixture/record_stream.h"
#include "data/mixture/set_scan.h"
#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/core/rng.h"
#include "finer/core/sha256.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

constexpr size_t kWriteBytes = size_t{1} << 20;
constexpr int64_t kStatusEvery = 20000;

// Records one after the other as a JSON array or as JSONL, hashed as they are written.
class RecordSink {
 public:
  RecordSink(int fd, bool is_lines) : fd_(fd), is_lines_(is_lines) {
    if (!is_lines_) buffer_ = "[\n";
  }

  void add(std::string_view record, bool is_one_line) {
    if (!is_lines_ && count_ > 0) buffer_ += ",\n";
    if (is_lines_ && !is_one_line) {
      append_compact(buffer_, record);
    } else {
      buffer_ += record;
    }
    if (is_lines_) buffer_ += '\n';
    ++count_;
    if (buffer_.size() >= kWriteBytes) flush();
  }

  OutputFile finish() {
    if (!is_lines_) buffer_ += "\n]\n";
    flush();
    return {hash_.finish(), bytes_};
  }
  int64_t count() const { return count_; }

 private:
  void flush() {
    write_all(fd_, buffer_.data(), buffer_.size());
    hash_.update(buffer_);
    bytes_ += buffer_.size();
    buffer_.clear();
  }

  int fd_;
  bool is_lines_;
  std::string buffer_;
  Sha256 hash_;
  uint64_t bytes_ = 0;
  int64_t count_ = 0;
};

void check_not_an_input(const MixtureConfig& config, const std::vector<InputFile>& inputs) {
  for (const fs::path& written : {fs::path(config.output), manifest_path(config.output)}) {
    for (const auto& input : inputs) {
      std::error_code ignored;
      if (fs::equivalent(written, input.path, ignored)) {
        throw DataError("output: " + written.string() + " is an input, too (" + input.role +
                        "); expected another file");
      }
    }
  }
}

SetSummary summary_of(const SetScan& scan, int64_t repeats) {
  SetSummary set;
  set.key = scan.set().key;
  set.classes = static_cast<int64_t>(scan.classes().size());
  set.records = scan.total(&MixtureClass::records);
  set.available = scan.total(&MixtureClass::available);
  set.pictures = scan.total(&MixtureClass::taken);
  set.samples = set.pictures * repeats;
  set.without_coarse = scan.total(&MixtureClass::without_coarse);
  set.shared_pictures_left_out = scan.total(&MixtureClass::held_pictures);
  for (const auto& it : scan.classes()) {
    set.classes_taken += it.taken > 0;
    if (it.lacks_attributes) set.without_attributes.push_back(it.name);
    if (it.shared_with.empty()) continue;
    set.shared_with_held_out.push_back(it.name + " (" + it.shared_with + ")");
    set.shared_samples += it.taken * repeats;
  }
  return set;
}

// The mixture in the making: sets sorted by key, the writer of conversations, what is held out.
class MixtureWriter {
 public:
  MixtureWriter(const MixtureConfig& config, const std::function<void(const std::string&)>& status)
      : config_(config),
        status_(status),
        writer_(config, Templates::load(config.templates)),
        hold_out_(config) {
    std::vector<MixtureSet> sets = config.sets;
    std::sort(sets.begin(), sets.end(),
              [](const MixtureSet& a, const MixtureSet& b) { return a.key < b.key; });
    for (const auto& set : sets) {
      if (hold_out_.holds(set.key)) {
        SetSummary held;
        held.key = set.key;
        held.is_held_out = true;
        summary_.sets.push_back(held);
        continue;
      }
      scans_.emplace_back(config, set, writer_, hold_out_, status);
      summary_.sets.push_back(summary_of(scans_.back(), config.repeats));
    }
    summary_.held_out_pictures = hold_out_.num_images();
    summary_.held_out_names = hold_out_.num_names();
  }

  OutputFile write(int fd) {
    RecordSink sink(fd, fs::path(config_.output).extension() == ".jsonl");
    for (const auto& scan : scans_) add_set(scan, sink);
    if (!config_.mix.empty()) add_mix(sink);
    summary_.samples = sink.count();
    return sink.finish();
  }

  MixtureSummary& summary() { return summary_; }
  const std::vector<SetScan>& scans() const { return scans_; }
  const HoldOut& hold_out() const { return hold_out_; }
  const Templates& templates() const { return writer_.templates(); }

 private:
  void add_set(const SetScan& scan, RecordSink& sink) {
    scan.for_each_taken([&](const UnifiedRecord& record, const MixtureClass& its_class) {
      const std::string where = scan.set().records + ": idx " + std::to_string(record.idx) + ": ";
      try {
        const std::string image = output_image(scan.set(), record.img_path);
        const auto [owner, is_new] = owners_.emplace(image, scan.set().key);
        if (!is_new && owner->second != scan.set().key) {
          throw DataError("the picture " + quote(image) + " is one of the set " + owner->second +
                          ", too; image_prefix keeps the sets' pictures apart");
        }
        FINER_CHECK(hold_out_.owner_of_image(image) == nullptr, "no held-out picture is taken");
        const uint64_t seed = record_seed(its_class.seed, record.img_path);
        for (int64_t repeat = 0; repeat < config_.repeats; ++repeat) {
          std::string id = scan.set().key + "/" + record.img_path;
          if (config_.repeats > 1) id += "#" + std::to_string(repeat + 1);
          sink.add(writer_.sample(id, image, record, its_class.attributes,
                                  mix_seed(seed, static_cast<uint64_t>(1 + repeat))),
                   /*is_one_line=*/true);
        }
      } catch (const DataError& error) {
        throw DataError(where + error.what());
      }
    });
  }

  void add_mix(RecordSink& sink) {
    RecordStream stream(config_.mix);
    std::string_view record;
    for (int64_t i = 0; stream.next(record); ++i) {
      const std::string where = config_.mix + ": record " + std::to_string(i) + ": ";
      std::string image;
      try {
        image = image_of_record(record);
        if (!image.empty() && !hold_out_.is_empty()) image = output_image({}, image);
      } catch (const DataError& error) {
        throw DataError(where + error.what());
      }
      if (const std::string* owner = hold_out_.owner_of_image(image); owner != nullptr) {
        if (!config_.strict_hold_out) {
          throw DataError(where + "the picture " + quote(image) + " is in the held-out set " +
                          *owner + ", too; strict_hold_out leaves such records out");
        }
        ++summary_.mix_left_out;
        continue;
      }
      sink.add(record, /*is_one_line=*/false);
      if (++summary_.mix_samples % kStatusEvery == 0) {
        status_("mix: " + std::to_string(summary_.mix_samples) + " records");
      }
    }
  }

  const MixtureConfig& config_;
  const std::function<void(const std::string&)>& status_;
  ConversationWriter writer_;
  HoldOut hold_out_;
  std::vector<SetScan> scans_;
  MixtureSummary summary_;
  std::unordered_map<std::string, std::string> owners_;  // picture -> key of its set
};

std::string padded(const std::string& text, size_t width, bool is_right) {
  const std::string blanks(width > text.size() ? width - text.size() : 0, ' ');
  return is_right ? blanks + text : text + blanks;
}

// "12 (a, b, c, and 9 more)"
std::string some_names(const std::vector<std::string>& names) {
  constexpr size_t kShown = 10;
  std::string text = std::to_string(names.size()) + " (";
  for (size_t i = 0; i < std::min(kShown, names.size()); ++i) {
    text += (i > 0 ? ", " : "") + names[i];
  }
  if (names.size() > kShown) text += ", and " + std::to_string(names.size() - kShown) + " more";
  return text + ")";
}

}  // namespace

MixtureSummary write_mixture(const MixtureConfig& config, const std::string& program,
                             const std::function<void(const std::string&)>& status) {
  const auto inputs = open_inputs(config);
  check_not_an_input(config, inputs);
  MixtureWriter writer(config, status);
  OutputFile output;
  atomic_write(config.output, [&](int fd) { output = writer.write(fd); });
  auto& summary = writer.summary();
  summary.manifest = manifest_path(config.output).string();
  atomic_write(summary.manifest, manifest_text(config, program, writer.templates(), inputs, output,
                                               summary, writer.scans(), writer.hold_out()));
  return summary;
}

std::vector<std::string> mixture_table(const MixtureSummary& summary) {
  std::vector<std::vector<std::string>> rows = {
      {"set", "records", "classes", "available", "pictures", "samples"}};
  std::vector<std::string> notes;
  for (const auto& set : summary.sets) {
    if (set.is_held_out) {
      rows.push_back({set.key, "held out", "", "", "", "0"});
      continue;
    }
    rows.push_back({set.key, std::to_string(set.records),
                    std::to_string(set.classes_taken) + " of " + std::to_string(set.classes),
                    std::to_string(set.available), std::to_string(set.pictures),
                    std::to_string(set.samples)});
    const auto note = [&](const std::string& text) { notes.push_back(set.key + ": " + text); };
    if (!set.without_attributes.empty()) {
      note("classes without attributes, not used: " + some_names(set.without_attributes));
    }
    if (set.without_coarse > 0) {
      note("records without a coarse label, not used: " + std::to_string(set.without_coarse));
    }
    if (!set.shared_with_held_out.empty()) {
      note("classes that share a name with a held-out concept: " +
           some_names(set.shared_with_held_out) +
           (set.shared_samples > 0
                ? ", " + std::to_string(set.shared_samples) +
                      " samples of them are in the output; --strict-hold-out leaves them out"
                : ", left out"));
    }
    if (set.shared_pictures_left_out > 0) {
      note("pictures of a held-out set, left out: " + std::to_string(set.shared_pictures_left_out));
    }
  }
  if (summary.mix_samples + summary.mix_left_out > 0) {
    rows.push_back({"mix", std::to_string(summary.mix_samples + summary.mix_left_out), "", "", "",
                    std::to_string(summary.mix_samples)});
  }
  rows.push_back({"all", "", "", "", "", std::to_string(summary.samples)});
  if (summary.held_out_pictures > 0) {
    notes.push_back("held out: none of " + std::to_string(summary.held_out_pictures) +
                    " pictures is in the output; looked for " +
                    std::to_string(summary.held_out_names) + " names");
  }
  std::vector<size_t> widths(rows.front().size(), 0);
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  std::vector<std::string> lines;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += (i > 0 ? "  " : "") + padded(row[i], widths[i], i > 0);
    }
    lines.push_back(line);
  }
  lines.insert(lines.end(), notes.begin(), notes.end());
  return lines;
}

}  // namespace finer::data
