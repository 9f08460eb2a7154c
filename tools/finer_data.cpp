// finer-data: tokens, pixels and samples as training sees them.
#include "data/token_lines.h"
#include "finer/core/atomic_file.h"
#include "finer/core/console.h"
#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/parallel.h"
#include "finer/core/quote.h"
#include "finer/image/preprocess.h"
#include "finer/io/tensor_file.h"
#include "finer/model/hf_config.h"
#include "tools/cli.h"
#include "tools/data_check.h"
#include "tools/data_inspect.h"
#include "tools/data_mixture.h"
#include "tools/data_records.h"
#include "tools/data_world.h"

#include <ATen/ops/empty.h>
#include <CLI/CLI.hpp>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Command = std::function<void()>;

struct TokenizeOptions {
  fs::path tokenizer;
  std::string conversation = "vicuna_v1";
  fs::path in;
  std::string out;
  int64_t threads = usual_threads();
};

void tokenize(const TokenizeOptions& options) {
  const auto tokenizer = Tokenizer::load(options.tokenizer);
  const auto kind = conversation_kind(options.conversation);
  const auto dataset = data::Dataset::open(options.in);
  data::TokenCounts counts;
  const auto write_to = [&](int fd) {
    constexpr size_t kBuffer = size_t{1} << 20;
    std::string buffer;
    int64_t lines = 0;
    counts = data::write_token_lines(
        dataset, tokenizer, kind, options.threads, [&](std::string_view line) {
          buffer += line;
          if (buffer.size() >= kBuffer) {
            write_all(fd, buffer.data(), buffer.size());
            buffer.clear();
          }
          if (++lines % 1000 == 0) {
            console::set_status("tokenized " + std::to_string(lines) + " of " +
                                std::to_string(dataset.size()));
          }
        });
    write_all(fd, buffer.data(), buffer.size());
  };
  if (options.out == "-") {
    try {
      write_to(STDOUT_FILENO);
    } catch (const DataError&) {
      throw;  // names its file
    } catch (const Error& error) {
      throw Error("standard output: " + std::string(error.what()));
    }
  } else {
    atomic_write(options.out, write_to);
  }
  console::set_status("");
  console::write_line(std::to_string(counts.samples) + " samples, " +
                      std::to_string(counts.tokens) + " tokens, " +
                      std::to_string(counts.label_tokens) + " of them targets");
}

Command add_tokenize(CLI::App& app) {
  auto options = std::make_shared<TokenizeOptions>();
  app.add_option("--tokenizer", options->tokenizer,
                 "model directory with tokenizer.model, or a SentencePiece file")
      ->required();
  app.add_option("--conversation", options->conversation,
                 "template: vicuna_v1, vicuna_v1_bare or plain")
      ->capture_default_str();
  app.add_option("--in", options->in, "conversations: LLaVA JSON or JSONL")->required();
  app.add_option("--out", options->out,
                 "token file to write, a JSON line a sample; - is standard output")
      ->required();
  app.add_option("--threads", options->threads,
                 "samples tokenized at a time; changes nothing in the result")
      ->capture_default_str()
      ->check(CLI::Range(1, 64));
  return [options] { tokenize(*options); };
}

struct PixelsOptions {
  fs::path model;
  std::string aspect = "pad";
  fs::path out;
  std::vector<fs::path> images;
};

PreprocessConfig encoder_settings(const fs::path& model) {
  if (!fs::is_directory(model)) throw DataError(model.string() + ": is not a model directory");
  int64_t side_px = 0;  // not looked at where the directory has its own settings
  if (!fs::exists(model / "preprocessor_config.json") &&
      !fs::exists(model / "processor_config.json")) {
    ModelConfig config;
    config.llava = model.string();
    side_px = read_model_config(config).vision.image_side_px;
  }
  return PreprocessConfig::load(model, side_px);
}

void pixels(const PixelsOptions& options) {
  const ImageAspect aspect = image_aspect(options.aspect);
  const PreprocessConfig settings = encoder_settings(options.model);
  std::map<std::string, at::Tensor> tensors;
  for (size_t i = 0; i < options.images.size(); ++i) {
    const Image image = decode_image(options.images[i]);
    const Image seen = resize_for_encoder(image, settings, aspect);  // for its size
    const auto values = preprocess(image, settings, aspect);
    auto tensor = at::empty({3, seen.height, seen.width}, at::kFloat);
    FINER_CHECK(tensor.numel() == static_cast<int64_t>(values.size()),
                "pixels of the encoder's size");
    std::memcpy(tensor.data_ptr<float>(), values.data(), values.size() * sizeof(float));
    tensors.emplace("pixels." + std::to_string(i), std::move(tensor));
  }
  save_safetensors(options.out, tensors);
  console::write_line(std::to_string(tensors.size()) + " pictures");
}

Command add_pixels(CLI::App& app) {
  auto options = std::make_shared<PixelsOptions>();
  app.add_option("--model", options->model,
                 "llava-hf or CLIP directory: its picture settings are used")
      ->required();
  app.add_option("--aspect", options->aspect, "pad (to a square) or crop (the middle)")
      ->capture_default_str();
  app.add_option("--out", options->out,
                 "safetensors file to write: pixels.0, pixels.1, ... [3, H, W]")
      ->required();
  app.add_option("images", options->images, "pictures, in the order of the tensors")->required();
  return [options] { pixels(*options); };
}

int run_command(int argc, char** argv) {
  CLI::App app{"Tokens, pixels and samples as training sees them.", "finer-data"};
  app.set_version_flag("--version", cli::version_text());
  app.require_subcommand(1);
  Command command;
  const auto add = [&](const char* name, const char* what, Command (*add_options)(CLI::App&)) {
    CLI::App* sub = app.add_subcommand(name, what);
    const Command body = add_options(*sub);
    sub->callback([&command, body] { command = body; });
  };
  add("tokenize", "write the ids and labels of conversations", add_tokenize);
  add("pixels", "write what the vision encoder sees of pictures", add_pixels);
  add("inspect", "show samples with their targets marked", add_inspect);
  add("records", "read a fine-grained set into unified records", add_records);
  add("check", "look for faults in a file of conversations", add_check);
  add("mixture", "write the training mixture of fine-grained sets", add_mixture);
  add("world", "draw the miniature's world", add_world);
  add("world-check", "look for held-out pictures in training files", add_world_check);
  const std::vector<std::string> names = {"tokenize", "pixels", "inspect", "records",
                                          "mixture",  "check",  "world",   "world-check"};
  const std::string first = argc > 1 ? argv[1] : "--help";
  if (!first.starts_with('-') && std::find(names.begin(), names.end(), first) == names.end()) {
    throw Error(quote(first) + " is no command" + did_you_mean(first, names));
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    throw Error(std::string(error.what()) + "; see finer-data --help");
  }
  command();
  return 0;
}

}  // namespace

}  // namespace finer

int main(int argc, char** argv) {
  return finer::cli::run("finer-data", [&] { return finer::run_command(argc, argv); });
}
