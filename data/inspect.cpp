#include "data/inspect.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <algorithm>
#include <cstdio>
#include <string_view>
#include <vector>

namespace finer::data {

namespace {

// Text of a file on a terminal: whatever could steer it is shown as its code.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    const bool is_c1 =
        byte == 0xc2 && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;
    if ((byte < 0x20 && byte != '\n' && byte != '\t') || byte == 0x7f || is_c1) {
      char code[8];
      std::snprintf(code, sizeof code, "\\x%02x",
                    is_c1 ? static_cast<unsigned char>(text[++i]) : byte);
      out += code;
    } else {
      out += text[i];
    }
  }
  return out;
}

// Ids back to the text they were made from, run by run. Tokenizer::decode alone would lose the
// blanks between runs: it drops the blank in front of the first piece, and sets special tokens
// apart with blanks of its own.
class RunDecoder {
 public:
  explicit RunDecoder(const Tokenizer& tokenizer)
      : tokenizer_(tokenizer),
        anchor_(tokenizer.encode("a")),
        anchor_text_(tokenizer.decode(anchor_, false)) {}

  bool is_special(int64_t id) const {
    return id == tokenizer_.bos_id() || id == tokenizer_.eos_id();
  }

  // is_first: text begins here, after a special token or a picture; its first blank is the
  // tokenizer's.
  std::string decode(const std::vector<int64_t>& run, bool is_first) const {
    if (run.size() == 1 && is_special(run.front()))
      return tokenizer_.decode(run, /*skip_special=*/false);
    std::vector<int64_t> ids = anchor_;
    ids.insert(ids.end(), run.begin(), run.end());
    std::string text = tokenizer_.decode(ids, /*skip_special=*/false);
    if (text.starts_with(anchor_text_)) text.erase(0, anchor_text_.size());
    if (is_first && text.starts_with(' ')) text.erase(0, 1);
    return text;
  }

 private:
  const Tokenizer& tokenizer_;
  const std::vector<int64_t> anchor_;  // an ordinary piece to stand in front
  const std::string anchor_text_;
};

std::string describe_picture(const SampleSource& source, const SampleRef& ref, const Sample& sample,
                             const TokenizedSample& tokens, int64_t image_positions) {
  if (!sample.image) return "none";
  try {
    const auto path = source.image_path(ref, sample);
    const ImageSize size = read_image_size(path);
    const auto& ids = tokens.input_ids;
    const auto begin = std::find(ids.begin(), ids.end(), kImageToken) - ids.begin();
    return quote(path.string()) + ", " + std::to_string(size.width) + " x " +
           std::to_string(size.height) + " px, " + std::to_string(image_positions) +
           " positions from " + std::to_string(begin);
  } catch (const DataError& error) {
    return error.what();
  }
}

// What the loader does with the sample, in words.
std::string describe_policy(const SampleSource& source, const DataConfig& config,
                            const SampleRef& ref, int64_t length, int64_t& kept) {
  kept = length;
  SampleSource::Prepared prepared;
  try {
    prepared = source.prepare(ref);
  } catch (const DataError& error) {
    return "stops the run (data.on_bad_record: stop): " + std::string(error.what());
  }
  const std::string limit = "data.max_tokens is " + std::to_string(config.max_tokens);
  switch (prepared.outcome) {
    case SampleSource::Outcome::kOverLength:
      return "dropped (data.over_length: drop): " + limit;
    case SampleSource::Outcome::kZeroLabel:
      return "dropped (data.zero_label: drop): no target token" +
             std::string(prepared.was_cut ? " left after cutting" : "");
    case SampleSource::Outcome::kBad:
      return "skipped (data.on_bad_record: skip): " + prepared.reason;
    case SampleSource::Outcome::kReady:
      break;
  }
  kept = static_cast<int64_t>(prepared.sample.input_ids.size());
  const std::string targets = ", " + std::to_string(prepared.sample.num_label_tokens) + " targets";
  if (prepared.was_cut) {
    return "cut to " + std::to_string(kept) + " tokens" + targets +
           " (data.over_length: cut_text): " + limit;
  }
  return "kept whole: " + limit;
}

}  // namespace

std::vector<TextRun> text_runs(const Tokenizer& tokenizer, const TokenizedSample& tokens,
                               size_t count) {
  const RunDecoder decoder(tokenizer);
  const auto& ids = tokens.input_ids;
  const auto is_target = [&](size_t t) { return tokens.labels[t] != kIgnoreLabel; };
  const auto stands_alone = [&](size_t t) {
    return ids[t] == kImageToken || decoder.is_special(ids[t]);
  };
  std::vector<TextRun> runs;
  for (size_t begin = 0; begin < count;) {
    size_t end = begin + 1;
    if (!stands_alone(begin)) {
      while (end < count && !stands_alone(end) && is_target(end) == is_target(begin)) ++end;
    }
    if (ids[begin] == kImageToken) {
      runs.push_back({"<image>", is_target(begin), true});
    } else {
      const std::vector<int64_t> run(ids.begin() + static_cast<int64_t>(begin),
                                     ids.begin() + static_cast<int64_t>(end));
      runs.push_back(
          {decoder.decode(run, begin == 0 || stands_alone(begin - 1)), is_target(begin), false});
    }
    begin = end;
  }
  return runs;
}

std::vector<TextRun> turn_runs(const Sample& sample) {
  constexpr std::string_view kMark = "<image>";
  std::vector<TextRun> runs;
  for (size_t i = 0; i < sample.turns.size(); ++i) {
    const auto& turn = sample.turns[i];
    const bool is_target = turn.from == "gpt" && i > 0;
    runs.push_back({(i > 0 ? "\n" : "") + turn.from + ": ", false, false});
    std::string_view rest = turn.value;
    for (size_t at = rest.find(kMark); at != std::string_view::npos; at = rest.find(kMark)) {
      if (at > 0) runs.push_back({std::string(rest.substr(0, at)), is_target, false});
      runs.push_back({std::string(kMark), false, true});
      rest.remove_prefix(at + kMark.size());
    }
    if (!rest.empty()) runs.push_back({std::string(rest), is_target, false});
  }
  return runs;
}

std::string marked_text(const std::vector<TextRun>& runs, MarkTargets marks) {
  const bool is_terminal = marks == MarkTargets::kTerminal;
  std::string text;
  for (size_t i = 0; i < runs.size(); ++i) {
    const bool opens = runs[i].is_target && (i == 0 || !runs[i - 1].is_target);
    const bool closes = runs[i].is_target && (i + 1 == runs.size() || !runs[i + 1].is_target);
    if (opens) text += is_terminal ? "\x1b[1;32m" : "[[";
    text += printable(runs[i].text);
    if (closes) text += is_terminal ? "\x1b[0m" : "]]";
  }
  return text;
}

SampleRef find_sample(const SampleSource& source, int64_t number) {
  int64_t total = 0;
  const auto& datasets = source.datasets();
  for (size_t set = 0; set < datasets.size(); ++set) {
    if (number >= total && number - total < datasets[set].size()) {
      return {static_cast<int32_t>(set), number - total};
    }
    total += datasets[set].size();
  }
  throw DataError("sample " + std::to_string(number) +
                  " is not there; the recipe's sets hold samples 0 to " +
                  std::to_string(total - 1));
}

std::string describe_sample(const SampleSource& source, const DataConfig& config,
                            const InputSpec& spec, const Tokenizer& tokenizer, const SampleRef& ref,
                            MarkTargets marks) {
  const Sample sample = source.record(ref);
  const TokenizedSample tokens = source.tokens(ref, sample);
  const auto count = static_cast<int64_t>(tokens.input_ids.size());
  const int64_t length = ready_length(tokens, spec.image_positions);
  const auto targets = std::count_if(tokens.labels.begin() + (count > 0), tokens.labels.end(),
                                     [](int64_t label) { return label != kIgnoreLabel; });
  int64_t kept = 0;
  const std::string policy = describe_policy(source, config, ref, length, kept);
  const int64_t shown = count - (length - kept);  // what is cut is text at the end
  const auto& dataset = source.datasets().at(static_cast<size_t>(ref.set));
  const auto line = [](const std::string& name, const std::string& text) {
    return name + std::string(9 - name.size(), ' ') + text + "\n";
  };
  std::string out = line("sample", dataset.where(ref.index, sample.id));
  out += line("picture", describe_picture(source, ref, sample, tokens, spec.image_positions));
  out +=
      line("tokens", std::to_string(length) + ", " + std::to_string(targets) + " of them targets");
  out += line("outcome", policy);
  out += "\n" + marked_text(text_runs(tokenizer, tokens, static_cast<size_t>(shown)), marks);
  if (shown < count) out += "\n(" + std::to_string(count - shown) + " more tokens are cut)";
  return out + "\n";
}

}  // namespace finer::data
