#include "finer/io/torch_archive.h"

#include "finer/core/error.h"
#include "finer/core/quote.h"
#include "finer/io/mapped_tensor.h"
#include "finer/io/pickle.h"
#include "finer/io/zip_directory.h"

#include <array>
#include <utility>

namespace finer {

namespace {

struct StorageType {
  std::string_view global;
  at::ScalarType dtype;
};
constexpr std::array<StorageType, 10> kStorageTypes = {{
    {"torch.DoubleStorage", at::kDouble},
    {"torch.FloatStorage", at::kFloat},
    {"torch.HalfStorage", at::kHalf},
    {"torch.BFloat16Storage", at::kBFloat16},
    {"torch.LongStorage", at::kLong},
    {"torch.IntStorage", at::kInt},
    {"torch.ShortStorage", at::kShort},
    {"torch.CharStorage", at::kChar},
    {"torch.ByteStorage", at::kByte},
    {"torch.BoolStorage", at::kBool},
}};

// The bytes of a record; empty where there is none.
std::string_view find_record(const std::map<std::string, std::string_view>& records,
                             const std::string& folder, const std::string& leaf) {
  const auto found = records.find(folder + leaf);
  return found == records.end() ? std::string_view() : found->second;
}

class TorchArchive : public TensorFile {
 public:
  explicit TorchArchive(std::shared_ptr<const MappedFile> map)
      : map_(std::move(map)), where_(map_->path().string()) {
    records_ = read_zip_directory(where_, map_->bytes());
    folder_ = find_folder();
    const auto byte_order = find_record(records_, folder_, "byteorder");
    if (!byte_order.empty() && byte_order != "little") {
      throw CheckpointError(where_ + ": was saved with byte order " + quote(byte_order) +
                            ", expected \"little\"");
    }
    pickle_ = read_pickle(where_, find_record(records_, folder_, "data.pkl"));
    list_tensors(find_state_dict());
    pickle_ = {};
    records_.clear();
  }

  const std::map<std::string, TensorInfo>& tensors() const override { return tensors_; }
  const std::filesystem::path& path() const override { return map_->path(); }
  const std::map<std::string, std::string>& metadata() const override { return metadata_; }

  at::Tensor read(const std::string& name) const override {
    const auto found = sources_.find(name);
    if (found == sources_.end()) {
      throw CheckpointError(where_ + ": holds no tensor " + quote(name));
    }
    return tensor_over_map(map_, found->second);
  }

 private:
  const PickleNode& node(uint32_t index) const { return pickle_.nodes[index]; }

  std::string find_folder() const {
    std::string folder;
    for (const auto& [name, bytes] : records_) {
      const size_t slash = name.find('/');
      if (slash == std::string::npos || name.substr(slash) != "/data.pkl") continue;
      if (!folder.empty()) throw CheckpointError(where_ + ": holds more than one data.pkl");
      folder = name.substr(0, slash + 1);
    }
    if (folder.empty()) {
      throw CheckpointError(where_ +
                            ": is a zip archive, but not one of torch.save: it has no data.pkl");
    }
    return folder;
  }

  bool is_tensor(uint32_t index) const {
    return node(index).kind == PickleKind::kCall && call_name(index) != "torch.Size";
  }
  std::string_view call_name(uint32_t index) const { return node(node(index).items[0]).text; }
  const std::vector<uint32_t>& call_arguments(uint32_t index) const {
    return node(node(index).items[1]).items;
  }

  bool holds_tensors(const PickleNode& dict) const {
    for (size_t i = 1; i < dict.items.size(); i += 2) {
      if (is_tensor(dict.items[i])) return true;
    }
    return false;
  }

  const PickleNode& find_state_dict() const {
    const auto& root = node(pickle_.root);
    if (root.kind != PickleKind::kDict) {
      throw CheckpointError(where_ + ": does not hold a dictionary of tensors");
    }
    if (root.items.empty() || holds_tensors(root)) return root;
    std::string keys;
    for (size_t i = 0; i < root.items.size(); i += 2) {
      const auto& key = node(root.items[i]);
      const auto& value = node(root.items[i + 1]);
      if (key.kind == PickleKind::kText && keys.size() < 200) {
        keys += (keys.empty() ? "" : ", ") + quote(key.text, 40);
      }
      if (key.kind == PickleKind::kText && (key.text == "state_dict" || key.text == "model") &&
          value.kind == PickleKind::kDict && holds_tensors(value)) {
        return value;
      }
    }
    throw CheckpointError(where_ + ": holds no tensors under its keys (" + keys +
                          "), nor under \"state_dict\" or \"model\"");
  }

  void list_tensors(const PickleNode& dict) {
    for (size_t i = 0; i < dict.items.size(); i += 2) {
      if (!is_tensor(dict.items[i + 1])) continue;
      const auto& key = node(dict.items[i]);
      if (key.kind != PickleKind::kText) {
        throw CheckpointError(where_ + ": a tensor has a key that is not text");
      }
      std::string name(key.text);
      auto source = describe(where_ + ": tensor " + quote(name), dict.items[i + 1]);
      // A later entry of the same key replaces the earlier one, as it does in Python.
      tensors_[name] = {source.dtype, source.shape};
      sources_[std::move(name)] = std::move(source);
    }
  }

  // Arguments of the calls, by place:
  //   _rebuild_parameter(tensor, requires_grad, hooks)
  //   _rebuild_tensor_v2(storage, offset, shape, strides, requires_grad, hooks[, metadata])
  TensorBytes describe(const std::string& where, uint32_t index) const {
    if (call_name(index) == "torch._utils._rebuild_parameter") {
      const auto& arguments = call_arguments(index);
      if (arguments.empty() || !is_tensor(arguments[0])) {
        throw CheckpointError(where + ": is a parameter without a tensor");
      }
      index = arguments[0];
    }
    const auto& arguments = call_arguments(index);
    if (call_name(index) != "torch._utils._rebuild_tensor_v2" || arguments.size() < 4) {
      throw CheckpointError(where + ": is not built like a tensor");
    }
    TensorBytes source{.where = where};
    source.bytes = find_storage(where, node(arguments[0]), source.dtype);
    source.shape = numbers(where, arguments[2]);
    source.strides = numbers(where, arguments[3]);
    if (source.strides.size() != source.shape.size()) {
      throw CheckpointError(where + ": has " + std::to_string(source.shape.size()) +
                            " dimensions and " + std::to_string(source.strides.size()) +
                            " strides");
    }

    const auto item_bytes = static_cast<int64_t>(c10::elementSize(source.dtype));
    const auto storage_numel = static_cast<int64_t>(source.bytes.size()) / item_bytes;
    const int64_t offset = number(where, arguments[1]);
    if (offset < 0 || offset > storage_numel) {
      throw CheckpointError(where + ": begins at item " + std::to_string(offset) +
                            " of a storage of " + std::to_string(storage_numel));
    }
    source.bytes.remove_prefix(static_cast<size_t>(offset * item_bytes));
    // More items than storage is a small file that claims to be a large one.
    if (checked_numel(where, source.shape) > storage_numel) {
      throw CheckpointError(where + ": is expanded beyond its storage; save it with .clone()");
    }
    check_strided_bounds(source);
    return source;
  }

  int64_t number(const std::string& where, uint32_t index) const {
    if (node(index).kind != PickleKind::kInt) {
      throw CheckpointError(where + ": has something else where a number belongs");
    }
    return node(index).number;
  }

  // A tuple of numbers, or torch.Size of one.
  std::vector<int64_t> numbers(const std::string& where, uint32_t index) const {
    if (node(index).kind == PickleKind::kCall && call_name(index) == "torch.Size" &&
        call_arguments(index).size() == 1) {
      index = call_arguments(index)[0];
    }
    if (node(index).kind != PickleKind::kTuple) {
      throw CheckpointError(where + ": its shape or strides are not a tuple");
    }
    std::vector<int64_t> values;
    for (const uint32_t item : node(index).items) values.push_back(number(where, item));
    return values;
  }

  // The record that a persistent id names: ("storage", type, key, location, number of items). The
  // location (a device) does not matter here.
  std::string_view find_storage(const std::string& where, const PickleNode& storage,
                                at::ScalarType& dtype) const {
    const auto fail = [&](const std::string& why) { throw CheckpointError(where + ": " + why); };
    if (storage.kind != PickleKind::kStorage) fail("has no storage");
    const auto& id = node(storage.items[0]);
    if (id.kind != PickleKind::kTuple || id.items.size() != 5 ||
        node(id.items[0]).text != "storage" || node(id.items[2]).kind != PickleKind::kText) {
      fail("its storage is not (\"storage\", type, key, location, size)");
    }
    const auto& type = node(id.items[1]);
    const StorageType* known = nullptr;
    for (const auto& candidate : kStorageTypes) {
      if (type.kind == PickleKind::kGlobal && type.text == candidate.global) known = &candidate;
    }
    if (known == nullptr) {
      fail("its storage has no known type");
    }
    dtype = known->dtype;

    const std::string leaf = "data/" + std::string(node(id.items[2]).text);
    const auto record = records_.find(folder_ + leaf);
    if (record == records_.end()) fail("its storage " + quote(leaf) + " is not in the archive");
    const int64_t numel = number(where, id.items[4]);
    const size_t item_bytes = c10::elementSize(dtype);
    const auto bytes = record->second;
    if (numel < 0 || bytes.size() % item_bytes != 0 ||
        bytes.size() / item_bytes != static_cast<size_t>(numel)) {
      fail("its storage " + quote(leaf) + " has " + std::to_string(bytes.size()) +
           " bytes, expected " + std::to_string(numel) + " items of " + std::to_string(item_bytes));
    }
    return bytes;
  }

  std::shared_ptr<const MappedFile> map_;
  std::string where_;
  std::map<std::string, std::string_view> records_;  // these three only while opening
  std::string folder_;
  Pickle pickle_;
  std::map<std::string, TensorInfo> tensors_;
  std::map<std::string, TensorBytes> sources_;
  std::map<std::string, std::string> metadata_;
};

}  // namespace

bool looks_like_zip(std::string_view bytes) { return bytes.substr(0, 4) == "PK\x03\x04"; }

bool looks_like_pickle(std::string_view bytes) {
  return bytes.size() >= 2 && bytes[0] == '\x80' && bytes[1] >= 2 && bytes[1] <= 5;
}

std::unique_ptr<TensorFile> open_torch_archive(std::shared_ptr<const MappedFile> map) {
  return std::make_unique<TorchArchive>(std::move(map));
}

}  // namespace finer
