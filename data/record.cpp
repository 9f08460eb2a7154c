#include "data/record.h"

#include "finer/core/error.h"
#include "finer/core/near_miss.h"
#include "finer/core/quote.h"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <string_view>
#include <utility>

namespace finer::data {

namespace {

using nlohmann::json;

constexpr std::string_view kImageMark = "<image>";

std::string type_of(const json& value) {
  const std::string name = value.type_name();
  if (name == "null") return name;
  return (name == "array" || name == "object" ? "an " : "a ") + name;
}

const json* find_key(const json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

const json& require_string(const json& value, const std::string& where) {
  if (!value.is_string()) throw DataError(where + " is " + type_of(value) + "; expected a string");
  return value;
}

// The picture's path from `image` / `images`: a string, null, or a list of one string.
std::optional<std::string> read_image_key(const json& record) {
  std::optional<std::string> image;
  for (const char* key : {"image", "images"}) {
    const json* value = find_key(record, key);
    if (value == nullptr || value->is_null()) continue;
    std::string where = key;
    if (value->is_array()) {
      if (value->empty()) continue;
      if (value->size() > 1) {
        throw DataError(where + " holds " + std::to_string(value->size()) +
                        " pictures; expected one (LLaVA-1.5 sees one picture a conversation)");
      }
      value = &value->front();
      where += "[0]";
    }
    if (!value->is_string()) {
      throw DataError(where + " is " + type_of(*value) + "; expected a path or null");
    }
    if (image && *image != value->get_ref<const std::string&>()) {
      throw DataError("image and images name different pictures");
    }
    image = value->get<std::string>();
  }
  return image;
}

// A chat part's own picture, if it names one: "image": PATH, "path", "url", or "image_url": PATH |
// {"url": PATH}.
std::optional<std::string> read_part_image(const json& part, const std::string& where) {
  for (const char* key : {"image", "image_url", "path", "url"}) {
    const json* value = find_key(part, key);
    if (value == nullptr || value->is_null()) continue;
    std::string name = where + "." + key;
    if (value->is_object()) {
      value = find_key(*value, "url");
      name += ".url";
      if (value == nullptr) throw DataError(name + " is missing");
    }
    const std::string path = require_string(*value, name).get<std::string>();
    if (path.starts_with("data:") || path.find("://") != std::string::npos) {
      throw DataError(name + " is " + quote(path) +
                      "; expected the path of a file under the images folder");
    }
    return path;
  }
  return std::nullopt;
}

// A list of chat parts as one text; pictures it names go to `images`.
std::string read_parts(const json& parts, const std::string& where,
                       std::vector<std::string>& images) {
  std::string marks, text;
  for (size_t i = 0; i < parts.size(); ++i) {
    const std::string at = where + "[" + std::to_string(i) + "]";
    const json& part = parts[i];
    if (!part.is_object()) throw DataError(at + " is " + type_of(part) + "; expected an object");
    const json* type = find_key(part, "type");
    if (type == nullptr) throw DataError(at + ".type is missing");
    const std::string kind = require_string(*type, at + ".type").get<std::string>();
    if (kind == "text") {
      const json* value = find_key(part, "text");
      if (value == nullptr) throw DataError(at + ".text is missing");
      text += require_string(*value, at + ".text").get_ref<const std::string&>();
    } else if (kind == "image" || kind == "image_url") {
      marks += std::string(kImageMark) + "\n";
      if (auto path = read_part_image(part, at)) images.push_back(std::move(*path));
    } else {
      throw DataError(at + ".type is " + quote(kind) +
                      did_you_mean(kind, {"text", "image", "image_url"}));
    }
  }
  return marks + text;
}

// "human" or "gpt" for the names that mean them.
std::string read_role(const std::string& name, const std::string& where) {
  if (name == "human" || name == "user") return "human";
  if (name == "gpt" || name == "assistant") return "gpt";
  if (name == "system") {
    throw DataError(
        where +
        " is \"system\"; the conversation template brings its own system text: leave the turn out");
  }
  throw DataError(where + " is " + quote(name) +
                  did_you_mean(name, {"human", "gpt", "user", "assistant"}));
}

// The value under one of two names; `where` becomes the name that was found.
const json& require_either(const json& turn, const char* usual, const char* other,
                           std::string& where) {
  const json* first = find_key(turn, usual);
  const json* second = find_key(turn, other);
  const std::string at = where + ".";
  if (first == nullptr && second == nullptr) throw DataError(at + usual + " is missing");
  if (first != nullptr && second != nullptr)
    throw DataError(where + " has both " + usual + " and " + other);
  where = at + (first != nullptr ? usual : other);
  return first != nullptr ? *first : *second;
}

void read_id(const json& record, int64_t index, Sample& sample) {
  const json* id = find_key(record, "id");
  if (id == nullptr || id->is_null()) {
    sample.id = std::to_string(index);
    sample.id_is_number = true;
  } else if (id->is_string()) {
    sample.id = id->get<std::string>();
  } else if (id->is_number()) {
    sample.id = id->dump();
    sample.id_is_number = true;
  } else {
    throw DataError("id is " + type_of(*id) + "; expected a string or a number");
  }
}

void read_turns(const json& record, Sample& sample, std::vector<std::string>& part_images) {
  const json* conversations = find_key(record, "conversations");
  const json* messages = find_key(record, "messages");
  if (conversations == nullptr && messages == nullptr) throw DataError("conversations is missing");
  if (conversations != nullptr && messages != nullptr)
    throw DataError("has both conversations and messages");
  const bool is_chat = messages != nullptr;
  const std::string list_name = is_chat ? "messages" : "conversations";
  const json& list = is_chat ? *messages : *conversations;
  if (!list.is_array())
    throw DataError(list_name + " is " + type_of(list) + "; expected an array of turns");
  if (list.empty()) throw DataError(list_name + " is empty; expected a question and an answer");

  for (size_t i = 0; i < list.size(); ++i) {
    const std::string at = list_name + "[" + std::to_string(i) + "]";
    const json& turn = list[i];
    if (!turn.is_object()) throw DataError(at + " is " + type_of(turn) + "; expected an object");
    std::string role_at = at, text_at = at;
    const json& role = is_chat ? require_either(turn, "role", "from", role_at)
                               : require_either(turn, "from", "role", role_at);
    const json& text = is_chat ? require_either(turn, "content", "value", text_at)
                               : require_either(turn, "value", "content", text_at);
    const std::string from = read_role(require_string(role, role_at).get<std::string>(), role_at);
    std::string value = text.is_array() ? read_parts(text, text_at, part_images)
                                        : require_string(text, text_at).get<std::string>();
    if (!sample.turns.empty() && from == sample.turns.back().from) {
      throw DataError(role_at + " is " + quote(role.get<std::string>()) +
                      ", like the turn before it; human and gpt take turns");
    }
    sample.turns.push_back({from, std::move(value)});
  }
}

// Joins the two ways of naming a picture, and holds them against the marks in the text.
void check_image(Sample& sample, const std::vector<std::string>& part_images) {
  for (const auto& image : part_images) {
    if (sample.image && *sample.image != image) {
      throw DataError("names more than one picture (" + quote(*sample.image) + ", " + quote(image) +
                      "); expected one (LLaVA-1.5 sees one picture a conversation)");
    }
    sample.image = image;
  }
  size_t marked_turns = 0;
  for (const auto& turn : sample.turns)
    marked_turns += turn.value.find(kImageMark) != std::string::npos;
  if (sample.image && marked_turns == 0) {
    throw DataError("has the picture " + quote(*sample.image) +
                    " but no <image> in its conversation");
  }
  if (!sample.image && marked_turns > 0)
    throw DataError("has <image> in its conversation but no picture");
  if (marked_turns > 1) {
    throw DataError("has <image> in " + std::to_string(marked_turns) +
                    " turns; expected one, where the picture is");
  }
}

// Follows a record's JSON up to the string under its key "image".
struct ImageKey : nlohmann::json_sax<json> {
  std::string image;
  bool key(string_t& name) override {
    is_next = depth == 1 && name == "image";
    return true;
  }
  bool string(string_t& value) override {
    if (is_next) image = value;
    return !is_next;
  }
  bool start_object(std::size_t) override { return nested(+1); }
  bool end_object() override { return nested(-1); }
  bool start_array(std::size_t) override { return nested(+1); }
  bool end_array() override { return nested(-1); }
  bool null() override { return other(); }
  bool boolean(bool) override { return other(); }
  bool number_integer(number_integer_t) override { return other(); }
  bool number_unsigned(number_unsigned_t) override { return other(); }
  bool number_float(number_float_t, const string_t&) override { return other(); }
  bool binary(binary_t&) override { return other(); }
  bool parse_error(std::size_t, const std::string&, const json::exception&) override {
    return false;
  }

 private:
  bool other() {
    is_next = false;
    return true;
  }
  bool nested(int step) {
    depth += step;
    return other();
  }
  int depth = 0;
  bool is_next = false;
};

}  // namespace

Sample parse_sample(std::string_view json_text, int64_t index) {
  json record;
  try {
    record = json::parse(json_text);
  } catch (const json::parse_error& error) {
    // The library's text goes "... while parsing X - REASON; last read: ...".
    std::string reason = error.what();
    if (const auto dash = reason.find(" - "); dash != std::string::npos) reason.erase(0, dash + 3);
    reason.erase(std::min(reason.find(';'), reason.size()));
    throw DataError("is not valid JSON at byte " + std::to_string(error.byte) +
                    " of the record: " + reason);
  } catch (const json::exception& error) {  // a number out of range
    throw DataError(std::string("is not valid JSON: ") + quote(error.what()));
  }
  if (!record.is_object()) throw DataError("is " + type_of(record) + "; expected an object");
  Sample sample;
  std::vector<std::string> part_images;
  read_id(record, index, sample);
  sample.image = read_image_key(record);
  read_turns(record, sample, part_images);
  check_image(sample, part_images);
  return sample;
}

std::string peek_id(std::string_view json_text) {
  const json record = json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (!record.is_object()) return "";
  const json* id = find_key(record, "id");
  if (id == nullptr) return "";
  if (id->is_string()) return id->get<std::string>();
  return id->is_number() ? id->dump() : "";
}

std::string peek_image(std::string_view json_text) {
  ImageKey found;
  json::sax_parse(json_text, &found);
  if (!found.image.empty() || json_text.find("image") == std::string_view::npos) return found.image;
  try {  // `images`, a list of one, or a chat part's
    return parse_sample(json_text, 0).image.value_or("");
  } catch (const DataError&) {  // told where it is read to train on
    return "";
  }
}

std::filesystem::path resolve_inside(const std::filesystem::path& root,
                                     const std::string& relative) {
  const auto refuse = [&](const std::string& why) -> DataError {
    return DataError("image " + quote(relative) + " " + why +
                     "; expected a path relative to the images folder " + quote(root.string()));
  };
  if (relative.empty()) throw refuse("is empty");
  if (relative.find('\0') != std::string::npos) throw refuse("has a NUL byte");
  const std::filesystem::path path(relative);
  if (path.is_absolute()) throw refuse("is an absolute path");
  for (const auto& part : path) {
    if (part == "..") throw refuse("has \"..\" in it");
  }
  return root / path;
}

}  // namespace finer::data
