#include "finer/eval/predictions.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/core/quote.h"

#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>

namespace finer {

namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr int64_t kLinesASync = 64;

fs::path settings_path(const fs::path& file) {
  auto path = file;
  return path.replace_extension(".settings.json");
}

std::string read_whole(const fs::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) throw DataError(path.string() + ": cannot be read: " + std::strerror(errno));
  std::ostringstream text;
  text << stream.rdbuf();
  return text.str();
}

void check_settings(const fs::path& file, const std::map<std::string, std::string>& settings) {
  const auto path = settings_path(file);
  std::map<std::string, std::string> before;
  try {
    before = nlohmann::json::parse(read_whole(path)).get<std::map<std::string, std::string>>();
  } catch (const nlohmann::json::exception&) {
    throw DataError(path.string() + ": is no JSON object of texts; it says what " + file.string() +
                    " was made with: remove both to start anew");
  }
  if (before == settings) return;
  const auto value = [](const std::map<std::string, std::string>& map, const std::string& key) {
    const auto at = map.find(key);
    return at == map.end() ? std::string("nothing") : quote(at->second, 80);
  };
  auto all = before;
  all.insert(settings.begin(), settings.end());
  for (const auto& [key, ignored] : all) {
    const bool is_in_both = before.count(key) > 0 && settings.count(key) > 0;
    if (is_in_both && before.at(key) == settings.at(key)) continue;
    throw DataError(file.string() + ": was made with other settings: " + key + " was " +
                    value(before, key) + ", is now " + value(settings, key) +
                    "; use another output, another name, or remove the file to start anew");
  }
}

}  // namespace

std::string prediction_line(const Prediction& p) {
  Json line = {{"idx", p.idx}, {"text", p.text}, {"question", p.question}};
  Json turns = Json::array();
  for (const auto& turn : p.turns) {
    turns.push_back({{"ask", turn.ask}, {"question", turn.question}, {"answer", turn.answer}});
  }
  line["turns"] = std::move(turns);
  if (p.is_cut) line["cut"] = true;
  if (!p.ranked.empty()) line["ranked"] = p.ranked;
  return line.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Prediction parse_prediction(const std::string& text) {
  try {
    const auto line = nlohmann::json::parse(text);
    Prediction p;
    const auto& idx = line.at("idx");
    if (!idx.is_number_integer()) throw DataError("idx is no whole number");
    p.idx = idx.get<int64_t>();
    p.text = line.at("text").get<std::string>();
    p.question = line.value("question", "");
    p.is_cut = line.value("cut", false);
    for (const auto& turn : line.value("turns", nlohmann::json::array())) {
      p.turns.push_back({turn.at("ask").get<std::string>(), turn.at("question").get<std::string>(),
                         turn.at("answer").get<std::string>()});
    }
    p.ranked = line.value("ranked", std::vector<std::string>{});
    return p;
  } catch (const nlohmann::json::exception&) {
    throw DataError("expected a JSON object with idx and text; found " + quote(text, 60));
  }
}

PredictionsFile::PredictionsFile(const fs::path& file,
                                 const std::map<std::string, std::string>& settings)
    : path_(file) {
  std::error_code failed;
  fs::create_directories(file.parent_path(), failed);
  if (failed) {
    throw DataError(file.parent_path().string() + ": cannot be made: " + failed.message());
  }
  fd_ = ::open(file.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (fd_ < 0) throw DataError(file.string() + ": cannot be opened: " + std::strerror(errno));
  try {
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0) {
      throw DataError(file.string() + ": another finer-eval is writing it; expected one at a time");
    }
    // The settings are there before the first line is, so lines without them are nobody's.
    if (fs::exists(settings_path(file))) {
      check_settings(file, settings);
    } else if (fs::file_size(file) > 0) {
      throw DataError(file.string() + ": its " + settings_path(file).filename().string() +
                      " is missing, so what it was made with is not known; remove the file to "
                      "start anew");
    } else {
      atomic_write(settings_path(file), nlohmann::json(settings).dump(1) + "\n");
    }
    read_lines();
  } catch (...) {
    ::close(fd_);
    throw;
  }
}

PredictionsFile::~PredictionsFile() {
  ::fsync(fd_);
  ::close(fd_);
}

void PredictionsFile::read_lines() {
  const std::string text = read_whole(path_);
  int64_t number = 0;
  size_t at = 0;
  for (size_t end; (end = text.find('\n', at)) != std::string::npos; at = end + 1) {
    const std::string where = path_.string() + ":" + std::to_string(++number) + ": ";
    Prediction prediction;
    try {
      prediction = parse_prediction(text.substr(at, end - at));
    } catch (const DataError& error) {
      // A power cut may leave a last line of which only the length reached the disk.
      if (end + 1 == text.size()) break;
      throw DataError(where + error.what());
    }
    const int64_t idx = prediction.idx;
    if (!all_.emplace(idx, std::move(prediction)).second)
      throw DataError(where + "idx " + std::to_string(idx) + " for the second time");
  }
  if (at == text.size()) return;
  log::info(path_.string() + ": cut off a last line that was not finished");
  if (::ftruncate(fd_, static_cast<off_t>(at)) != 0) {
    throw DataError(path_.string() + ": cannot be cut: " + std::strerror(errno));
  }
}

void PredictionsFile::append(const Prediction& prediction) {
  if (!all_.emplace(prediction.idx, prediction).second) {
    throw DataError(path_.string() + ": idx " + std::to_string(prediction.idx) +
                    " for the second time");
  }
  const std::string line = prediction_line(prediction) + "\n";
  try {
    write_all(fd_, line.data(), line.size());
  } catch (const Error& error) {
    throw Error(path_.string() + ": " + error.what());
  }
  if (++unsynced_ >= kLinesASync) sync();
}

void PredictionsFile::sync() {
  unsynced_ = 0;
  if (::fsync(fd_) != 0) throw Error(path_.string() + ": " + std::strerror(errno));
}

}  // namespace finer
