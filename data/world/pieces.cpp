#include "data/world/pieces.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"

#include <nlohmann/json.hpp>
#include <sentencepiece_processor.h>
#include <sentencepiece_trainer.h>

#include <unordered_map>

namespace finer::data {

namespace {

class LineIterator : public sentencepiece::SentenceIterator {
 public:
  explicit LineIterator(const std::vector<std::string>& lines) : lines_(lines) {}
  bool done() const override { return next_ >= lines_.size(); }
  void Next() override { ++next_; }
  const std::string& value() const override { return lines_[next_]; }
  sentencepiece::util::Status status() const override { return {}; }

 private:
  const std::vector<std::string>& lines_;
  size_t next_ = 0;
};

}  // namespace

std::string train_pieces(const std::vector<std::string>& lines, int64_t vocab_size) {
  // With SentencePiece's blank in front a role name is one piece; without, it would be two.
  const std::string blank = "\xe2\x96\x81";
  const std::unordered_map<std::string, std::string> settings = {
      {"model_type", "bpe"},
      {"vocab_size", std::to_string(vocab_size)},
      {"character_coverage", "1.0"},
      {"user_defined_symbols", blank + "USER:," + blank + "ASSISTANT:"},
      {"unk_id", "0"},
      {"bos_id", "1"},
      {"eos_id", "2"},
      {"pad_id", "3"},
      {"num_threads", "1"},
      {"minloglevel", "4"},
  };
  LineIterator iterator(lines);
  std::string model;
  const auto status = sentencepiece::SentencePieceTrainer::Train(settings, &iterator, &model);
  if (!status.ok()) {
    std::string reason = status.error_message();  // begins with "FILE(LINE) [CONDITION] "
    const auto end = reason.find("] ");
    if (end != reason.npos) reason.erase(0, end + 2);
    throw DataError("a tokenizer of " + std::to_string(vocab_size) +
                    " pieces cannot be made from these texts: " + reason);
  }
  return model;
}

std::vector<int64_t> count_pieces(const std::string& model, const std::vector<std::string>& texts) {
  sentencepiece::SentencePieceProcessor processor;
  const auto status = processor.LoadFromSerializedProto(model);
  FINER_CHECK(status.ok(), "a model that SentencePiece reads");
  std::vector<int64_t> counts;
  for (const auto& text : texts) {
    counts.push_back(static_cast<int64_t>(processor.EncodeAsIds(text).size()));
  }
  return counts;
}

void write_tokenizer(const std::filesystem::path& folder, const std::string& model) {
  using Json = nlohmann::ordered_json;
  const Json special = {
      {"bos_token", "<s>"}, {"eos_token", "</s>"}, {"unk_token", "<unk>"}, {"pad_token", "<pad>"}};
  Json config = {{"tokenizer_class", "LlamaTokenizer"}};
  config.update(special);
  config.update(Json{{"add_bos_token", true},
                     {"add_eos_token", false},
                     {"clean_up_tokenization_spaces", false},
                     {"legacy", true},
                     {"model_max_length", 2048}});
  atomic_write(folder / "tokenizer.model", model);
  atomic_write(folder / "tokenizer_config.json", config.dump(2) + "\n");
  atomic_write(folder / "special_tokens_map.json", special.dump(2) + "\n");
}

}  // namespace finer::data
