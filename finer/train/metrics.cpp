#include "finer/train/metrics.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"

#include <errno.h>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <string.h>
#include <unistd.h>

#include <cmath>
#include <fstream>
#include <limits>

namespace finer {
namespace {

void put_metric(nlohmann::ordered_json& object, const char* key, double x) {
  if (std::isfinite(x)) {
    object[key] = x;
    return;
  }
  object[key] = nullptr;
  object[std::string(key) + "_text"] = std::isnan(x) ? "nan" : x > 0 ? "inf" : "-inf";
}

double get_metric(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) throw Error(std::string("key \"") + key + "\" is missing");
  if (found->is_number()) return found->get<double>();
  if (found->is_null()) {
    const auto text = object.find(std::string(key) + "_text");
    if (text != object.end() && *text == "inf") return std::numeric_limits<double>::infinity();
    if (text != object.end() && *text == "-inf") return -std::numeric_limits<double>::infinity();
    return std::numeric_limits<double>::quiet_NaN();
  }
  throw Error(std::string("\"") + key + "\" is " + found->type_name() + ", expected a number");
}

int64_t get_metric_count(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  if (found == object.end()) throw Error(std::string("key \"") + key + "\" is missing");
  // A count above 2^63 is read as unsigned and would wrap to a negative number.
  if (!found->is_number_integer() || found->get<int64_t>() < 0) {
    throw Error(std::string("\"") + key + "\" is " + found->dump().substr(0, 40) +
                ", expected a whole number of at least 0");
  }
  return found->get<int64_t>();
}

// What was found in a metrics file, up to a step.
struct MetricsScan {
  std::vector<StepMetrics> steps;
  uint64_t keep_bytes = 0;     // length of the part that `steps` came from
  bool lacks_newline = false;  // that part ends without a newline
  bool has_more = false;       // something follows it
};

// Streams the lines: a long run's file is larger than what one wants in memory twice.
MetricsScan scan_metrics(const std::filesystem::path& file, int64_t last_step, bool with_values) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(file.string() + ": cannot be read: " + strerror(errno));
  MetricsScan scan;
  std::string line;
  int64_t previous = 0;
  for (int64_t number = 1; std::getline(in, line); ++number) {
    const bool has_newline = !in.eof();
    StepMetrics metrics;
    try {
      metrics = metrics_from_json(line);
      if (metrics.step <= previous) {
        throw Error("step " + std::to_string(metrics.step) + " follows step " +
                    std::to_string(previous) + ", expected a later one");
      }
    } catch (const Error& error) {
      if (!has_newline) {  // the run died while it wrote this line
        scan.has_more = true;
        break;
      }
      throw Error(file.string() + ":" + std::to_string(number) + ": " + error.what() +
                  "; mend the line, or move the file away to go on without its history");
    }
    if (metrics.step > last_step) {
      scan.has_more = true;
      break;
    }
    previous = metrics.step;
    scan.keep_bytes += line.size() + (has_newline ? 1 : 0);
    scan.lacks_newline = !has_newline;
    if (with_values) scan.steps.push_back(metrics);
  }
  if (in.bad()) throw Error(file.string() + ": cannot be read: " + strerror(errno));
  return scan;
}

void keep_metrics_beginning(const std::filesystem::path& file, const MetricsScan& scan) {
  std::ifstream in(file, std::ios::binary);
  if (!in) throw Error(file.string() + ": cannot be read: " + strerror(errno));
  atomic_write(file, [&](int fd) {
    std::vector<char> buffer(1 << 20);
    for (uint64_t left = scan.keep_bytes; left > 0;) {
      in.read(buffer.data(), static_cast<std::streamsize>(std::min<uint64_t>(left, buffer.size())));
      if (in.gcount() <= 0) throw Error(file.string() + ": became shorter while it was read");
      write_all(fd, buffer.data(), static_cast<size_t>(in.gcount()));
      left -= static_cast<uint64_t>(in.gcount());
    }
    if (scan.lacks_newline) write_all(fd, "\n", 1);
  });
}

}  // namespace

std::string metrics_to_json(const StepMetrics& metrics) {
  nlohmann::ordered_json object;
  object["step"] = metrics.step;
  put_metric(object, "epoch", metrics.epoch);
  put_metric(object, "loss", metrics.loss);
  put_metric(object, "lr", metrics.lr);
  put_metric(object, "grad_norm", metrics.grad_norm);
  object["samples"] = metrics.samples;
  object["tokens"] = metrics.tokens;
  object["label_tokens"] = metrics.label_tokens;
  put_metric(object, "seconds", metrics.seconds);
  put_metric(object, "tokens_per_s", metrics.tokens_per_s());
  put_metric(object, "samples_per_s", metrics.samples_per_s());
  object["peak_bytes"] = metrics.peak_bytes;
  put_metric(object, "data_wait", metrics.data_wait);
  if (metrics.skipped) object["skipped"] = true;
  return object.dump();
}

StepMetrics metrics_from_json(std::string_view line) {
  const auto object = nlohmann::json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) throw Error("not a JSON object");
  StepMetrics metrics;
  metrics.step = get_metric_count(object, "step");
  metrics.epoch = get_metric(object, "epoch");
  metrics.loss = get_metric(object, "loss");
  metrics.lr = get_metric(object, "lr");
  metrics.grad_norm = get_metric(object, "grad_norm");
  metrics.samples = get_metric_count(object, "samples");
  metrics.tokens = get_metric_count(object, "tokens");
  metrics.label_tokens = get_metric_count(object, "label_tokens");
  metrics.seconds = get_metric(object, "seconds");
  metrics.data_wait = get_metric(object, "data_wait");
  metrics.peak_bytes = get_metric_count(object, "peak_bytes");
  metrics.skipped = object.value("skipped", nlohmann::json(false)) == true;
  return metrics;
}

std::vector<StepMetrics> read_metrics(const std::filesystem::path& file) {
  return scan_metrics(file, std::numeric_limits<int64_t>::max(), true).steps;
}

MetricsFile::MetricsFile(std::filesystem::path file, int64_t last_step) : file_(std::move(file)) {
  if (last_step > 0 && std::filesystem::exists(file_)) {
    const MetricsScan scan = scan_metrics(file_, last_step, false);
    if (scan.has_more || scan.lacks_newline) keep_metrics_beginning(file_, scan);
  }
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | (last_step > 0 ? 0 : O_TRUNC);
  fd_ = ::open(file_.c_str(), flags, 0644);
  if (fd_ < 0) throw Error(file_.string() + ": cannot be written: " + strerror(errno));
}

MetricsFile::~MetricsFile() {
  if (fd_ >= 0) ::close(fd_);
}

void MetricsFile::write(const StepMetrics& metrics) {
  const std::string line = metrics_to_json(metrics) + "\n";
  try {
    write_all(fd_, line.data(), line.size());
  } catch (const Error& error) {
    throw Error(file_.string() + ": " + error.what());
  }
}

void MetricsFile::sync() {
  if (::fsync(fd_) != 0) throw Error(file_.string() + ": fsync: " + strerror(errno));
}

}  // namespace finer
