#include "data/token_lines.h"

#include "finer/core/error.h"
#include "finer/core/parallel.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <exception>
#include <string>
#include <vector>

namespace finer::data {

namespace {

struct TokenLine {
  std::string text;
  int64_t tokens = 0;
  int64_t label_tokens = 0;
  std::exception_ptr fault;
};

void append_ids(std::string& line, const std::vector<int64_t>& ids) {
  line += '[';
  for (size_t i = 0; i < ids.size(); ++i) {
    if (i > 0) line += ", ";
    char digits[24];
    line.append(digits, std::to_chars(digits, digits + sizeof digits, ids[i]).ptr);
  }
  line += ']';
}

TokenLine make_line(const Dataset& dataset, const Tokenizer& tokenizer, ConversationKind kind,
                    int64_t index) {
  const Sample sample = dataset.read(index);
  TokenizedSample tokens;
  try {
    tokens = tokenize_conversation(tokenizer, kind, sample.turns, sample.image.has_value());
  } catch (const DataError& error) {
    throw DataError(dataset.where(index, sample.id) + ": " + error.what());
  }
  TokenLine line;
  line.tokens = static_cast<int64_t>(tokens.input_ids.size());
  line.label_tokens =
      line.tokens - std::count(tokens.labels.begin(), tokens.labels.end(), kIgnoreLabel);
  line.text = "{\"id\": " + (sample.id_is_number ? sample.id : nlohmann::json(sample.id).dump());
  if (sample.image) line.text += ", \"image\": " + nlohmann::json(*sample.image).dump();
  line.text += ", \"input_ids\": ";
  append_ids(line.text, tokens.input_ids);
  line.text += ", \"labels\": ";
  append_ids(line.text, tokens.labels);
  line.text += "}\n";
  return line;
}

}  // namespace

TokenCounts write_token_lines(const Dataset& dataset, const Tokenizer& tokenizer,
                              ConversationKind kind, int64_t threads,
                              const std::function<void(std::string_view)>& write) {
  threads = std::clamp<int64_t>(threads, 1, 64);
  const int64_t round_size = 256 * threads;  // long enough that starting threads costs nothing
  TokenCounts counts;
  for (int64_t first = 0; first < dataset.size(); first += round_size) {
    std::vector<TokenLine> lines(static_cast<size_t>(std::min(round_size, dataset.size() - first)));
    for_each_parallel(lines.size(), threads, [&](size_t i) {
      try {
        lines[i] = make_line(dataset, tokenizer, kind, first + static_cast<int64_t>(i));
      } catch (...) {
        lines[i].fault = std::current_exception();  // told when all before it are written
      }
    });
    for (const auto& line : lines) {
      if (line.fault) std::rethrow_exception(line.fault);
      write(line.text);
      ++counts.samples;
      counts.tokens += line.tokens;
      counts.label_tokens += line.label_tokens;
    }
  }
  return counts;
}

}  // namespace finer::data
