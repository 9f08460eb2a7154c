// finer-data records: a fine-grained set's official files -> unified records.
#include "tools/data_records.h"

#include "data/readers/write_records.h"
#include "finer/core/console.h"
#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/parallel.h"
#include "finer/core/quote.h"

#include <CLI/CLI.hpp>

#include <memory>
#include <string>

namespace finer {

namespace {

struct RecordsArguments {
  data::RecordsOptions options;
  std::string split, coarse;
};

void records(RecordsArguments& arguments) {
  data::RecordsOptions& options = arguments.options;
  if (arguments.split != "train" && arguments.split != "test") {
    throw DataError("--split " + quote(arguments.split) +
                    did_you_mean(arguments.split, {"train", "test"}));
  }
  options.reader.is_train = arguments.split == "train";
  options.reader.without_coarse_file = arguments.coarse == "none";
  if (!arguments.coarse.empty() && arguments.coarse != "none") {
    options.reader.coarse = arguments.coarse;
  }
  options.progress = [](int64_t count) { console::set_status(std::to_string(count) + " records"); };
  const data::RecordsReport report = data::write_records(options);
  console::set_status("");
  for (const std::string& line : report.lines()) console::write_line(line);
}

std::string set_help() {
  std::string help;
  for (const data::Reader& reader : data::readers()) {
    help += std::string(help.empty() ? "" : "; ") + reader.key + " (" + reader.what + ")";
  }
  return help;
}

}  // namespace

std::function<void()> add_records(CLI::App& app) {
  auto arguments = std::make_shared<RecordsArguments>();
  data::RecordsOptions& options = arguments->options;
  options.num_threads = usual_threads();
  app.add_option("--set", options.set, set_help())->required();
  app.add_option("--root", options.reader.root, "folder of the set's official files")->required();
  app.add_option("--split", arguments->split, "train or test, as the set divides itself")
      ->required();
  app.add_option("--out", options.out,
                 "file to write, a JSON record a line; in a folder it is called "
                 "unified-SET-SPLIT-combined.jsonl")
      ->required();
  app.add_option("--coarse", arguments->coarse,
                 "coarse-label file: a line a class, N name[, name] (iNaturalist: JSON, family -> "
                 "names); without the option coarse-classes.txt (coarse-classes-family.json) under "
                 "the root; none: go on with empty lists");
  app.add_option("--attributes", options.attributes,
                 "files of concept attributes: classes without an entry are listed");
  app.add_flag("--verify-images", options.verify_images,
               "decode every picture and list the broken ones");
  app.add_option("--threads", options.num_threads, "of --verify-images; changes no result")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  app.add_option("--superordinate", options.reader.superordinate,
                 "folder: the label above all coarse ones; without it the root folder's name");
  app.add_option("--test-fraction", options.reader.test_fraction,
                 "folder: share of each class's pictures that is the test split")
      ->capture_default_str()
      ->check(CLI::Range(0.0, 1.0));
  return [arguments] { records(*arguments); };
}

}  // namespace finer
