#include "finer/eval/streamed_text.h"

#include <string_view>

namespace finer {

namespace {

constexpr std::string_view kUnfinished = "\xEF\xBF\xBD";  // U+FFFD, what a cut character decodes to
constexpr const char* kBlanks = " \t\r\n";

}  // namespace

std::string StreamedText::add(int64_t id) {
  ids_.push_back(id);
  return piece(false);
}

std::string StreamedText::finish() { return piece(true); }

std::string StreamedText::piece(bool is_last) {
  auto text = tokenizer_->decode(ids_);
  const auto begin = text.find_first_not_of(kBlanks);
  if (begin == std::string::npos) return "";
  text.erase(0, begin);
  while (!is_last && text.size() >= kUnfinished.size() &&
         std::string_view(text).substr(text.size() - kUnfinished.size()) == kUnfinished) {
    text.resize(text.size() - kUnfinished.size());
  }
  const auto last = text.find_last_not_of(kBlanks);
  text.resize(last == std::string::npos ? 0 : last + 1);
  if (text.size() <= shown_bytes_) return "";
  auto out = text.substr(shown_bytes_);
  shown_bytes_ = text.size();
  return out;
}

std::string without_controls(std::string text) {
  for (char& c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if ((byte < 0x20 && c != '\n' && c != '\t') || byte == 0x7f) c = '?';
  }
  return text;
}

}  // namespace finer
