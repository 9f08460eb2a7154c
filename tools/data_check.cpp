#include "tools/data_check.h"

#include "data/check.h"
#include "finer/core/console.h"
#include "finer/core/error.h"
#include "finer/core/parallel.h"

#include <iostream>
#include <memory>
#include <optional>
#include <string>

namespace finer {

namespace {

struct CheckCommand {
  std::string file, images, tokenizer;
  std::string conversation = "vicuna_v1";
  int64_t max_tokens = 0;
  int64_t image_positions = 576;
  int64_t threads = usual_threads();
  bool decodes = false;
};

void check(const CheckCommand& command) {
  data::CheckOptions options;
  std::optional<Tokenizer> tokenizer;
  if (!command.tokenizer.empty()) tokenizer = Tokenizer::load(command.tokenizer);
  if (command.max_tokens > 0 && !tokenizer) {
    throw Error("check: --max-tokens needs --tokenizer, which counts them");
  }
  if (command.decodes && command.images.empty()) {
    throw Error("check: --decode needs --images, the folder of the pictures");
  }
  if (!command.images.empty()) {
    if (!std::filesystem::is_directory(command.images)) {
      throw DataError(command.images + ": is no folder; expected the one of the pictures");
    }
    options.images = command.images;
  }
  options.decodes_pictures = command.decodes;
  options.tokenizer = tokenizer ? &*tokenizer : nullptr;
  options.conversation = conversation_kind(command.conversation);
  options.image_positions = command.image_positions;
  options.max_tokens = command.max_tokens;
  options.threads = command.threads;
  const auto report = data::check_file(command.file, options,
                                       [](const std::string& text) { console::set_status(text); });
  console::set_status("");
  for (const auto& line : data::check_table(report)) std::cout << line << "\n";
  std::cout << std::flush;
  if (report.faulty_samples > 0) {
    throw DataError(command.file + ": " + std::to_string(report.faulty_samples) + " of " +
                    std::to_string(report.samples) + " samples are at fault");
  }
}

}  // namespace

std::function<void()> add_check(CLI::App& app) {
  auto command = std::make_shared<CheckCommand>();
  app.add_option("file", command->file,
                 "conversations: LLaVA JSON or JSONL, ShareGPT, chat messages")
      ->required();
  app.add_option("--images", command->images, "folder of the pictures: each must be there");
  app.add_flag("--decode", command->decodes, "read every picture, too");
  app.add_option("--tokenizer", command->tokenizer,
                 "model directory or SentencePiece file: lengths and targets in tokens");
  app.add_option("--conversation", command->conversation, "template that makes the tokens")
      ->capture_default_str();
  app.add_option("--max-tokens", command->max_tokens, "longer samples are faults; 0: no limit")
      ->capture_default_str()
      ->check(CLI::Range(0, 1048576));
  app.add_option("--image-tokens", command->image_positions, "positions a picture takes")
      ->capture_default_str()
      ->check(CLI::Range(1, 65536));
  app.add_option("--threads", command->threads, "samples checked at a time; changes no result")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  return [command] { check(*command); };
}

}  // namespace finer
