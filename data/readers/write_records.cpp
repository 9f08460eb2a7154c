#include "data/readers/write_records.h"

#include "data/attributes.h"
#include "data/readers/picture_files.h"
#include "data/readers/picture_verifier.h"
#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <memory>
#include <optional>
#include <sstream>
#include <unordered_map>
#include <utility>

namespace finer::data {

namespace {

namespace fs = std::filesystem;

// Counts over the records of one file.
class RecordCounts {
 public:
  void add(const UnifiedRecord& record) {
    key_.clear();
    for (const std::string& label : record.fine) {
      key_ += label;
      key_ += '\0';
    }
    auto found = numbers_.find(key_);
    if (found == numbers_.end()) {
      found = numbers_.emplace(key_, classes_.size()).first;
      classes_.push_back({record.fine, 0, false});
    }
    FineClass& fine_class = classes_[found->second];
    ++fine_class.num_images;
    if (record.coarse.empty()) {
      fine_class.lacks_coarse = true;
      ++images_without_coarse_;
    }
  }

  void report(RecordsReport& report, const AttributeTable* attributes) const {
    std::vector<int64_t> counts;
    for (const FineClass& fine_class : classes_) {
      counts.push_back(fine_class.num_images);
      report.num_images += fine_class.num_images;
      report.classes_without_coarse += fine_class.lacks_coarse ? 1 : 0;
      if (attributes != nullptr && attributes->find(fine_class.fine) == nullptr) {
        std::string name = fine_class.fine[0];
        for (size_t i = 1; i < fine_class.fine.size(); ++i) name += " / " + fine_class.fine[i];
        report.without_attributes.push_back(name);
      }
    }
    report.num_classes = static_cast<int64_t>(classes_.size());
    report.images_without_coarse = images_without_coarse_;
    if (counts.empty()) return;
    std::sort(counts.begin(), counts.end());
    report.min_images = counts.front();
    report.max_images = counts.back();
    const size_t half = counts.size() / 2;
    report.median_images = static_cast<double>(counts[half] + counts[(counts.size() - 1) / 2]) / 2;
  }

 private:
  struct FineClass {
    std::vector<std::string> fine;
    int64_t num_images = 0;
    bool lacks_coarse = false;
  };
  std::vector<FineClass> classes_;
  std::unordered_map<std::string, size_t> numbers_;
  std::string key_;
  int64_t images_without_coarse_ = 0;
};

// Options of one set given to another would do nothing: they are refused.
void check_records_options(const RecordsOptions& options, const Reader& reader) {
  const ReaderOptions defaults;
  if (reader.coarse == CoarseFile::kNever && options.reader.coarse) {
    throw DataError("--coarse " + quote(options.reader.coarse->string()) + ": " + reader.key +
                    " takes its coarse labels from its own files; leave --coarse out");
  }
  if (std::string_view(reader.key) == "folder") return;
  if (!options.reader.superordinate.empty()) {
    throw DataError(std::string("--superordinate: ") + reader.key +
                    " has its own; the option is for --set folder");
  }
  if (options.reader.test_fraction != defaults.test_fraction) {
    throw DataError(std::string("--test-fraction: ") + reader.key +
                    " has its own split; the option is for --set folder");
  }
}

std::string with_commas(int64_t number) {
  std::string text = std::to_string(number);
  for (auto at = static_cast<int64_t>(text.size()) - 3; at > 0; at -= 3) {
    text.insert(static_cast<size_t>(at), ",");
  }
  return text;
}

}  // namespace

RecordsReport write_records(const RecordsOptions& options) {
  const Reader& reader = find_reader(options.set);
  check_records_options(options, reader);
  const std::string split = options.reader.is_train ? "train" : "test";
  RecordsReport report;
  report.title = options.set + ", " + split;
  report.out = options.out;
  if (fs::is_directory(options.out)) {
    report.out /= "unified-" + options.set + "-" + split + "-combined.jsonl";
  }
  std::optional<AttributeTable> attributes;
  if (!options.attributes.empty()) attributes = AttributeTable::load(options.attributes);
  report.has_attributes = attributes.has_value();
  report.has_verified = options.verify_images;

  RecordCounts counts;
  PictureFiles files(options.reader.root);
  std::unique_ptr<PictureVerifier> verifier;
  if (options.verify_images) {
    verifier = std::make_unique<PictureVerifier>(options.reader.root, options.num_threads);
  }
  atomic_write(report.out, [&](int fd) {
    constexpr size_t kBuffer = size_t{1} << 20;
    constexpr int64_t kTold = 20'000;
    constexpr size_t kNamed = 10;
    std::string buffer;
    reader.read(options.reader, [&](const UnifiedRecord& record) {
      counts.add(record);
      if (!files.has(record.img_path)) {
        ++report.num_missing;
        if (report.first_missing.size() < kNamed) report.first_missing.push_back(record.img_path);
      } else if (verifier != nullptr) {
        verifier->add(record.img_path);
      }
      append_unified_line(buffer, record);
      buffer += '\n';
      if (buffer.size() >= kBuffer) {
        write_all(fd, buffer.data(), buffer.size());
        buffer.clear();
      }
      if ((record.idx + 1) % kTold == 0) options.progress(record.idx + 1);
    });
    write_all(fd, buffer.data(), buffer.size());
    counts.report(report, attributes ? &*attributes : nullptr);
    if (report.num_images == 0) {
      throw DataError(options.reader.root.string() + ": the " + split + " split has no pictures");
    }
  });
  if (verifier != nullptr) report.broken = verifier->finish();
  return report;
}

std::vector<std::string> RecordsReport::lines() const {
  std::vector<std::string> lines;
  for (const std::string& line : broken) lines.push_back("broken: " + line);
  for (const std::string& path : first_missing) lines.push_back("missing: " + path);
  if (num_missing > static_cast<int64_t>(first_missing.size())) {
    lines.push_back("missing: and " +
                    with_commas(num_missing - static_cast<int64_t>(first_missing.size())) +
                    " more");
  }
  for (const std::string& name : without_attributes) lines.push_back("no attributes: " + name);

  const auto row = [&](const std::string& name, const std::string& value) {
    constexpr size_t kWidth = 26;
    lines.push_back("  " + name + std::string(kWidth - std::min(kWidth, name.size()), ' ') + value);
  };
  std::ostringstream median;
  median << median_images;
  lines.push_back(title + ": " + out.string());
  row("classes", with_commas(num_classes));
  row("images", with_commas(num_images));
  row("images a class", with_commas(min_images) + " min, " + median.str() + " median, " +
                            with_commas(max_images) + " max");
  row("coarse labels missing", with_commas(images_without_coarse) + " images, " +
                                   with_commas(classes_without_coarse) + " classes");
  row("files missing", with_commas(num_missing));
  if (has_verified) row("files broken", with_commas(static_cast<int64_t>(broken.size())));
  if (has_attributes) {
    row("without attributes",
        with_commas(static_cast<int64_t>(without_attributes.size())) + " classes");
  }
  return lines;
}

}  // namespace finer::data
