#include "finer/io/safetensors.h"

#include "finer/core/atomic_file.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/io/checked_json.h"
#include "finer/io/mapped_tensor.h"

#include <ATen/ops/empty.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <array>
#include <utility>

namespace finer {

namespace {

constexpr uint64_t kMaxHeaderBytes = 100'000'000;  // the reference's own limit

struct DtypeName {
  const char* name;
  at::ScalarType dtype;
};
// In the order in which the reference lays tensors out, so that our files equal its files: large
// items first, which also puts every tensor at a multiple of its item size.
constexpr std::array<DtypeName, 10> kDtypeNames = {{
    {"I64", at::kLong},
    {"F64", at::kDouble},
    {"F32", at::kFloat},
    {"I32", at::kInt},
    {"BF16", at::kBFloat16},
    {"F16", at::kHalf},
    {"I16", at::kShort},
    {"I8", at::kChar},
    {"U8", at::kByte},
    {"BOOL", at::kBool},
}};

at::ScalarType dtype_named(const std::string& name) {
  for (const auto& known : kDtypeNames) {
    if (name == known.name) return known.dtype;
  }
  return at::ScalarType::Undefined;
}

// Place in the table above; its size where there is none.
size_t dtype_rank(at::ScalarType dtype) {
  size_t rank = 0;
  while (rank < kDtypeNames.size() && kDtypeNames[rank].dtype != dtype) ++rank;
  return rank;
}

struct Entry {
  std::string dtype_name;
  size_t begin = 0;  // within the data, which follows the header
  size_t end = 0;
};

class SafetensorsFile : public TensorFile {
 public:
  explicit SafetensorsFile(std::shared_ptr<const MappedFile> map) : map_(std::move(map)) {
    const std::string where = path().string();
    const auto bytes = map_->bytes();
    if (bytes.size() < 8) throw CheckpointError(where + ": is too short for a safetensors file");
    const auto header_bytes = number_at<uint64_t>(bytes, 0);
    if (header_bytes > kMaxHeaderBytes) {
      throw CheckpointError(where + ": says that its header is " + std::to_string(header_bytes) +
                            " bytes long, at most " + std::to_string(kMaxHeaderBytes) +
                            " are allowed");
    }
    if (header_bytes > bytes.size() - 8) {
      throw CheckpointError(where + ": is truncated: its header needs " +
                            std::to_string(header_bytes) + " bytes, " +
                            std::to_string(bytes.size() - 8) + " are there");
    }
    data_ = bytes.substr(8 + header_bytes);
    read_header(bytes.substr(8, header_bytes));
    check_layout();
  }

  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }
  const std::filesystem::path& path() const override { return map_->path(); }
  const std::map<std::string, std::string>& metadata() const override { return metadata_; }

  at::Tensor read(const std::string& name) const override {
    const auto found = tensors_.find(name);
    if (found == tensors_.end()) {
      throw CheckpointError(path().string() + ": holds no tensor " + quote(name));
    }
    const auto& entry = entries_.at(name);
    if (found->second.dtype == at::ScalarType::Undefined) {
      throw CheckpointError(where(name) + ": its dtype " + quote(entry.dtype_name) +
                            " cannot be read; convert it to F32, F16 or BF16");
    }
    return tensor_over_map(map_, {.where = where(name),
                                  .dtype = found->second.dtype,
                                  .shape = found->second.shape,
                                  .strides = row_major_strides(found->second.shape),
                                  .bytes = data_.substr(entry.begin, entry.end - entry.begin)});
  }

 private:
  std::string where(const std::string& name) const {
    return path().string() + ": tensor " + quote(name);
  }

  void read_header(std::string_view text) {
    const std::string header = path().string() + ": header";
    const auto json = parse_checked_json(header, text);
    if (!json.is_object()) throw CheckpointError(header + ": is not a JSON object");
    for (const auto& [name, value] : json.items()) {
      if (name == "__metadata__") {
        read_metadata(header, value);
      } else {
        read_entry(name, value);
      }
    }
  }

  void read_metadata(const std::string& header, const nlohmann::json& value) {
    if (!value.is_object()) throw CheckpointError(header + ": __metadata__ is not an object");
    for (const auto& [key, text] : value.items()) {
      if (!text.is_string()) {
        throw CheckpointError(header + ": __metadata__ " + quote(key) + " is not text");
      }
      metadata_[key] = text.get<std::string>();
    }
  }

  // A list of numbers from 0 to 2^63 - 1.
  std::vector<int64_t> read_sizes(const std::string& name, const nlohmann::json& value,
                                  const char* key) const {
    std::vector<int64_t> sizes;
    bool is_good = value.contains(key) && value[key].is_array();
    if (is_good) {
      for (const auto& item : value[key]) {
        is_good &= item.is_number_unsigned() && item.get<uint64_t>() <= INT64_MAX;
        sizes.push_back(is_good ? item.get<int64_t>() : 0);
      }
    }
    if (!is_good) {
      throw CheckpointError(where(name) + ": " + key + " is not a list of numbers from 0 up");
    }
    return sizes;
  }

  void read_entry(const std::string& name, const nlohmann::json& value) {
    if (!value.is_object() || !value.contains("dtype") || !value["dtype"].is_string()) {
      throw CheckpointError(where(name) + ": its entry is not {dtype, shape, data_offsets}");
    }
    auto dtype_name = value["dtype"].get<std::string>();
    TensorInfo info{dtype_named(dtype_name), read_sizes(name, value, "shape")};
    const int64_t numel = checked_numel(where(name), info.shape);

    const auto offsets = read_sizes(name, value, "data_offsets");
    if (offsets.size() != 2 || offsets[0] > offsets[1]) {
      throw CheckpointError(where(name) + ": data_offsets are not [begin, end]");
    }
    const auto begin = static_cast<size_t>(offsets[0]), end = static_cast<size_t>(offsets[1]);
    if (end > data_.size()) {
      throw CheckpointError(where(name) + ": ends at byte " + std::to_string(end) +
                            " of the data, the file holds " + std::to_string(data_.size()) +
                            " (truncated?)");
    }
    if (info.dtype != at::ScalarType::Undefined) {
      const size_t item_bytes = c10::elementSize(info.dtype);
      if ((end - begin) % item_bytes != 0 ||
          static_cast<size_t>(numel) != (end - begin) / item_bytes) {
        throw CheckpointError(where(name) + ": has " + std::to_string(end - begin) +
                              " bytes, its shape needs " + std::to_string(numel) + " items of " +
                              std::to_string(item_bytes));
      }
    }
    tensors_.emplace(name, std::move(info));
    entries_.emplace(name, Entry{std::move(dtype_name), begin, end});
  }

  // Like the reference, no byte may belong to two tensors or to none: nothing can hide in the file.
  void check_layout() const {
    std::vector<std::pair<const std::string*, const Entry*>> in_order;
    for (const auto& [name, entry] : entries_) in_order.emplace_back(&name, &entry);
    std::sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
      return std::pair(a.second->begin, a.second->end) < std::pair(b.second->begin, b.second->end);
    });
    size_t reached = 0;
    for (const auto& [name, entry] : in_order) {
      if (entry->begin != reached) {
        throw CheckpointError(where(*name) + ": begins at byte " + std::to_string(entry->begin) +
                              " of the data, the one before it ends at " + std::to_string(reached) +
                              (entry->begin < reached ? " (they overlap)" : " (a hole)"));
      }
      reached = entry->end;
    }
    if (reached != data_.size()) {
      throw CheckpointError(path().string() + ": holds " + std::to_string(data_.size() - reached) +
                            " bytes after its last tensor");
    }
  }

  std::shared_ptr<const MappedFile> map_;
  std::string_view data_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, Entry> entries_;
  std::map<std::string, std::string> metadata_;
};

std::string json_text(const std::filesystem::path& path, const std::string& text) {
  try {
    return nlohmann::json(text).dump();
  } catch (const nlohmann::json::exception&) {
    throw CheckpointError(path.string() + ": cannot be written: " + quote(text) + " is not UTF-8");
  }
}

// "key":value pairs, joined; the header is written by hand so that its order is ours.
std::string metadata_entry(const std::filesystem::path& path,
                           const std::map<std::string, std::string>& metadata) {
  std::string pairs;
  for (const auto& [key, value] : metadata) {
    pairs += (pairs.empty() ? "" : ",") + json_text(path, key) + ":" + json_text(path, value);
  }
  return "\"__metadata__\":{" + pairs + "}";
}

std::string tensor_entry(const std::filesystem::path& path, const std::string& name,
                         const at::Tensor& tensor, uint64_t begin) {
  const size_t rank = dtype_rank(tensor.scalar_type());
  if (rank == kDtypeNames.size() || tensor.layout() != at::kStrided || name == "__metadata__") {
    throw CheckpointError(path.string() + ": cannot be written: tensor " + quote(name) +
                          " has a dtype, layout or name that safetensors lacks");
  }
  std::string shape;
  for (const int64_t size : tensor.sizes()) {
    shape += (shape.empty() ? "" : ",") + std::to_string(size);
  }
  return json_text(path, name) + ":{\"dtype\":\"" + kDtypeNames[rank].name + "\",\"shape\":[" +
         shape + "],\"data_offsets\":[" + std::to_string(begin) + "," +
         std::to_string(begin + tensor.nbytes()) + "]}";
}

}  // namespace

bool looks_like_safetensors(std::string_view bytes) { return bytes.size() > 8 && bytes[8] == '{'; }

std::unique_ptr<TensorFile> open_safetensors(std::shared_ptr<const MappedFile> map) {
  return std::make_unique<SafetensorsFile>(std::move(map));
}

void save_safetensors(const std::filesystem::path& path,
                      const std::map<std::string, at::Tensor>& tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::vector<std::pair<std::string, at::Tensor>> in_order(tensors.begin(), tensors.end());
  for (const auto& [name, tensor] : in_order) FINER_CHECK(tensor.defined(), "no tensor: " + name);
  std::stable_sort(in_order.begin(), in_order.end(), [](const auto& a, const auto& b) {
    return dtype_rank(a.second.scalar_type()) < dtype_rank(b.second.scalar_type());
  });

  std::string entries = metadata.empty() ? "" : metadata_entry(path, metadata);
  uint64_t end = 0;
  for (const auto& [name, tensor] : in_order) {
    entries += (entries.empty() ? "" : ",") + tensor_entry(path, name, tensor, end);
    end += tensor.nbytes();
  }
  std::string header = "{" + entries + "}";
  header.append((8 - header.size() % 8) % 8, ' ');
  if (header.size() > kMaxHeaderBytes) {
    throw CheckpointError(path.string() + ": cannot be written: its header is over " +
                          std::to_string(kMaxHeaderBytes) + " bytes");
  }

  atomic_write(path, [&](int fd) {
    const uint64_t header_bytes = header.size();
    write_all(fd, &header_bytes, sizeof(header_bytes));
    write_all(fd, header.data(), header.size());
    for (const auto& [name, tensor] : in_order) {
      const auto here = tensor.detach().to(at::kCPU).contiguous();
      write_all(fd, here.const_data_ptr(), here.nbytes());
    }
  });
}

}  // namespace finer
