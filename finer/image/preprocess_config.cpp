#include "finer/core/error.h"
#include "finer/image/preprocess.h"

#include <nlohmann/json.hpp>

#include <cmath>
#include <fstream>
#include <sstream>

namespace finer {
namespace {

using Json = nlohmann::json;

constexpr int64_t kMaxSidePx = 8192;
constexpr std::uintmax_t kMaxConfigBytes = 1 << 20;
constexpr int kBicubic = 3;  // PIL's number

[[noreturn]] void refuse_key(const std::string& where, const std::string& key,
                             const std::string& expected, const Json& found) {
  auto text = found.dump(-1, ' ', true, Json::error_handler_t::replace);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  throw DataError(where + ": " + key + " is " + text + "; expected " + expected);
}

// Null where the key is missing or null: transformers writes both for "not set".
const Json* value_at(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

int64_t side_px(const std::string& where, const std::string& key, const Json& value) {
  const bool is_in_range = value.is_number_integer() &&
                           (!value.is_number_unsigned() || value.get<uint64_t>() <= kMaxSidePx) &&
                           value.get<int64_t>() >= 1 && value.get<int64_t>() <= kMaxSidePx;
  if (!is_in_range) refuse_key(where, key, "a whole number from 1 to 8192", value);
  return value.get<int64_t>();
}

void read_bool(const std::string& where, const Json& object, const char* key, bool& out) {
  if (const auto* value = value_at(object, key)) {
    if (!value->is_boolean()) refuse_key(where, key, "true or false", *value);
    out = value->get<bool>();
  }
}

double number_between(const std::string& where, const std::string& key, const Json& value,
                      double low, double high) {
  if (!value.is_number() || !(value.get<double>() >= low && value.get<double>() <= high)) {
    std::ostringstream expected;
    expected << "a number from " << low << " to " << high;
    refuse_key(where, key, expected.str(), value);
  }
  return value.get<double>();
}

void read_channels(const std::string& where, const Json& object, const char* key, double low,
                   double high, std::array<double, 3>& out) {
  const auto* value = value_at(object, key);
  if (value == nullptr) return;
  if (value->is_number()) {
    out.fill(number_between(where, key, *value, low, high));
    return;
  }
  if (!value->is_array() || value->size() != 3) refuse_key(where, key, "three numbers", *value);
  for (size_t c = 0; c < 3; ++c) {
    const auto name = std::string(key) + "[" + std::to_string(c) + "]";
    out[c] = number_between(where, name, (*value)[c], low, high);
  }
}

void read_size(const std::string& where, const Json& value, PreprocessConfig& config) {
  if (value.is_number()) {
    config.resize_shortest_px = side_px(where, "size", value);
  } else if (value.is_object() && value.size() == 1 && value.contains("shortest_edge")) {
    config.resize_shortest_px = side_px(where, "size.shortest_edge", value["shortest_edge"]);
  } else if (value.is_object() && value.size() == 2 && value.contains("height") &&
             value.contains("width")) {
    config.resize_shortest_px = 0;
    config.resize_height_px = side_px(where, "size.height", value["height"]);
    config.resize_width_px = side_px(where, "size.width", value["width"]);
  } else {
    refuse_key(where, "size", "a number, {\"shortest_edge\"} or {\"height\", \"width\"}", value);
  }
}

void read_crop_size(const std::string& where, const Json& value, PreprocessConfig& config) {
  if (value.is_number()) {
    config.crop_height_px = config.crop_width_px = side_px(where, "crop_size", value);
  } else if (value.is_object() && value.size() == 2 && value.contains("height") &&
             value.contains("width")) {
    config.crop_height_px = side_px(where, "crop_size.height", value["height"]);
    config.crop_width_px = side_px(where, "crop_size.width", value["width"]);
  } else {
    refuse_key(where, "crop_size", "a number or {\"height\", \"width\"}", value);
  }
}

void read_processor(const std::string& where, const Json& object, PreprocessConfig& config) {
  read_bool(where, object, "do_resize", config.do_resize);
  read_bool(where, object, "do_center_crop", config.do_center_crop);
  read_bool(where, object, "do_rescale", config.do_rescale);
  read_bool(where, object, "do_normalize", config.do_normalize);
  if (const auto* size = value_at(object, "size")) read_size(where, *size, config);
  if (const auto* crop = value_at(object, "crop_size")) read_crop_size(where, *crop, config);
  if (const auto* factor = value_at(object, "rescale_factor")) {
    config.rescale_factor = number_between(where, "rescale_factor", *factor, 1e-9, 1e9);
  }
  read_channels(where, object, "image_mean", -1e6, 1e6, config.mean);
  read_channels(where, object, "image_std", 1e-6, 1e6, config.std);
  if (const auto* filter = value_at(object, "resample")) {
    if (config.do_resize && *filter != kBicubic) {
      refuse_key(where, "resample", "3 (bicubic), the only filter there is", *filter);
    }
  }
}

Json read_json_object(const std::filesystem::path& path) {
  const auto where = path.string();
  std::error_code error;
  const auto bytes = std::filesystem::file_size(path, error);
  if (error) throw DataError(where + ": cannot read: " + error.message());
  if (bytes > kMaxConfigBytes) {
    throw DataError(where + ": has " + std::to_string(bytes) + " bytes; expected at most 1048576");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) throw DataError(where + ": cannot open");
  try {
    auto json = Json::parse(file);
    if (!json.is_object()) throw DataError(where + ": is not a JSON object");
    return json;
  } catch (const Json::parse_error& e) {
    throw DataError(where + ": is not JSON: error at byte " + std::to_string(e.byte));
  } catch (const Json::exception&) {
    throw DataError(where + ": holds a number that is too large");
  }
}

}  // namespace

PreprocessConfig PreprocessConfig::load(const std::filesystem::path& model_dir,
                                        int64_t fallback_side_px) {
  PreprocessConfig config;
  config.resize_shortest_px = config.crop_height_px = config.crop_width_px = fallback_side_px;
  const auto own = model_dir / "preprocessor_config.json";
  const auto shared = model_dir / "processor_config.json";
  if (std::filesystem::exists(own)) {
    read_processor(own.string(), read_json_object(own), config);
  } else if (std::filesystem::exists(shared)) {
    const auto json = read_json_object(shared);
    if (const auto* processor = value_at(json, "image_processor")) {
      if (!processor->is_object()) {
        refuse_key(shared.string(), "image_processor", "an object", *processor);
      }
      read_processor(shared.string() + ": image_processor", *processor, config);
    }
  }
  return config;
}

}  // namespace finer
