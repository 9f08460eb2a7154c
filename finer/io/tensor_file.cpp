#include "finer/io/tensor_file.h"

#include "finer/core/error.h"
#include "finer/core/log.h"
#include "finer/core/quote.h"
#include "finer/io/checked_json.h"
#include "finer/io/mapped_file.h"
#include "finer/io/safetensors.h"
#include "finer/io/torch_archive.h"

#include <array>
#include <utility>

namespace finer {

namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxIndexBytes = 100'000'000;

bool is_git_lfs_pointer(std::string_view bytes) {
  return bytes.starts_with("version https://git-lfs.github.com/spec/");
}

// Tensor name to shard, as an index file says.
std::map<std::string, std::string> read_weight_map(const fs::path& index_path) {
  const std::string where = index_path.string();
  const auto map = MappedFile::open(index_path);
  if (map->bytes().size() > kMaxIndexBytes) throw CheckpointError(where + ": is too large");
  const auto index = parse_checked_json(where, map->bytes());
  if (!index.is_object() || !index.contains("weight_map") || !index["weight_map"].is_object()) {
    throw CheckpointError(where + ": has no object \"weight_map\"");
  }
  std::map<std::string, std::string> weight_map;
  for (const auto& [tensor, file] : index["weight_map"].items()) {
    if (!file.is_string()) {
      throw CheckpointError(where + ": the file of tensor " + quote(tensor) + " is not text");
    }
    const auto name = file.get<std::string>();
    // A plain name: no folders, so no way out of this one. (It may be a link, as in the hub's
    // cache.)
    if (name.empty() || name == "." || name == ".." || name.find('/') != std::string::npos ||
        name.find('\0') != std::string::npos) {
      throw CheckpointError(where + ": tensor " + quote(tensor) + " is said to be in " +
                            quote(name) + ", expected the name of a file in the same folder");
    }
    weight_map[tensor] = name;
  }
  if (weight_map.empty()) throw CheckpointError(where + ": its \"weight_map\" is empty");
  return weight_map;
}

void check_shard(const fs::path& index_path, const TensorFile& shard,
                 const std::map<std::string, std::string>& weight_map) {
  const std::string file = shard.path().filename().string();
  for (const auto& [tensor, place] : weight_map) {
    if (place == file && shard.tensors().count(tensor) == 0) {
      throw CheckpointError(index_path.string() + ": tensor " + quote(tensor) +
                            " is said to be in " + quote(file) + ", which does not hold it");
    }
  }
  size_t num_unlisted = 0;
  std::string first_unlisted;
  for (const auto& [tensor, info] : shard.tensors()) {
    const auto listed = weight_map.find(tensor);
    if (listed == weight_map.end()) {
      if (num_unlisted++ == 0) first_unlisted = tensor;
    } else if (listed->second != file) {
      throw CheckpointError(index_path.string() + ": tensor " + quote(tensor) +
                            " is said to be in " + quote(listed->second) + ", but " + quote(file) +
                            " holds one of that name too");
    }
  }
  // Not an error here: the file is read all the same, and whoever loads it knows which names it
  // needs.
  if (num_unlisted > 0) {
    log::warn(index_path.string() + ": does not list " + std::to_string(num_unlisted) +
              " of the tensors in " + quote(file) + ", among them " + quote(first_unlisted));
  }
}

std::vector<fs::path> find_shards(const fs::path& index_path) {
  const auto weight_map = read_weight_map(index_path);
  std::map<std::string, fs::path> shards;
  for (const auto& [tensor, file] : weight_map) shards[file] = index_path.parent_path() / file;
  std::vector<fs::path> paths;
  for (const auto& [file, path] : shards) {
    if (!fs::exists(path)) {
      throw CheckpointError(index_path.string() + ": names " + quote(file) +
                            ", which is not in the folder; is the download complete?");
    }
    check_shard(index_path, *open_tensor_file(path), weight_map);
    paths.push_back(path);
  }
  return paths;
}

std::string list_folder(const fs::path& folder) {
  std::string names;
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored)) {
    if (names.size() > 200) return names + ", ...";
    names += (names.empty() ? "" : ", ") + entry.path().filename().string();
  }
  return names.empty() ? "nothing" : names;
}

}  // namespace

std::unique_ptr<TensorFile> open_tensor_file(const fs::path& path) {
  auto map = MappedFile::open(path);
  const auto bytes = map->bytes();
  const std::string where = path.string();
  if (bytes.empty()) throw CheckpointError(where + ": is empty");
  // First: a header length may happen to spell the others' first bytes, its byte 8 is in neither.
  if (looks_like_safetensors(bytes)) return open_safetensors(std::move(map));
  if (looks_like_zip(bytes)) return open_torch_archive(std::move(map));
  if (looks_like_pickle(bytes)) {
    throw CheckpointError(where +
                          ": is a plain pickle, as torch.save wrote before torch 1.6; convert it "
                          "with: python -c \"import "
                          "sys, torch; torch.save(torch.load(sys.argv[1], weights_only=True), "
                          "sys.argv[2])\" OLD NEW");
  }
  if (is_git_lfs_pointer(bytes)) {
    throw CheckpointError(where + ": is a Git LFS pointer, not the weights; run: git lfs pull");
  }
  throw CheckpointError(where + ": is neither a safetensors file nor one of torch.save");
}

std::vector<fs::path> find_weight_files(const fs::path& path) {
  std::error_code ignored;
  if (!fs::exists(path, ignored)) {
    throw CheckpointError(path.string() + ": no such file or folder");
  }
  if (!fs::is_directory(path, ignored)) return {path};
  for (const char* stem : {"model.safetensors", "pytorch_model.bin"}) {
    if (fs::exists(path / stem)) return {path / stem};
    const auto index = path / (std::string(stem) + ".index.json");
    if (fs::exists(index)) return find_shards(index);
  }
  throw CheckpointError(path.string() +
                        ": holds no weights: expected model.safetensors, pytorch_model.bin or an "
                        "index (*.index.json) of one of them, found " +
                        list_folder(path));
}

}  // namespace finer
