#include "data/dataset.h"

#include "data/record_index.h"
#include "finer/core/error.h"
#include "finer/core/quote.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <bit>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace finer::data {

namespace {

// A whole file, mapped read-only.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path) {
    // O_NONBLOCK: a named pipe given as a path is refused below, not waited for.
    const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) throw DataError(path.string() + ": cannot be opened: " + std::strerror(errno));
    struct stat info {};
    std::string fault;
    if (::fstat(fd, &info) != 0) {
      fault = std::strerror(errno);
    } else if (!S_ISREG(info.st_mode)) {
      fault =
          S_ISDIR(info.st_mode) ? "is a folder; expected a JSON or JSONL file" : "is not a file";
    } else if (info.st_size > 0) {
      size_ = static_cast<size_t>(info.st_size);
      address_ = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd, 0);
      if (address_ == MAP_FAILED) fault = std::string("cannot be mapped: ") + std::strerror(errno);
    }
    ::close(fd);
    if (!fault.empty()) throw DataError(path.string() + ": " + fault);
  }
  ~MappedFile() {
    if (size_ > 0) ::munmap(address_, size_);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::string_view bytes() const { return {static_cast<const char*>(address_), size_}; }

 private:
  void* address_ = nullptr;
  size_t size_ = 0;
};

// Four lanes, 8 bytes a step each, so that the multiplications overlap; each step is FNV-1a's on
// words, with a rotation so that the upper bits of a word reach the lower bits of the hash. The
// tail is padded with zeros and the length goes in at the end. For noticing another file, not for
// security.
uint64_t hash_words(std::string_view bytes) {
  constexpr uint64_t kPrime = 0x9e3779b97f4a7c15ULL;
  constexpr size_t kStride = 32;
  uint64_t lanes[4] = {0xcbf29ce484222325ULL, 0x84222325cbf29ce4ULL, 0x2545f4914f6cdd1dULL,
                       0x632be59bd9b4e019ULL};
  const auto mix = [&](uint64_t& lane, uint64_t word) {
    lane = (std::rotl(lane, 23) ^ word) * kPrime;
  };
  const auto mix_block = [&](const char* block) {
    uint64_t words[4];
    std::memcpy(words, block, kStride);
    for (int lane = 0; lane < 4; ++lane) mix(lanes[lane], words[lane]);
  };
  size_t at = 0;
  for (; at + kStride <= bytes.size(); at += kStride) mix_block(bytes.data() + at);
  if (at < bytes.size()) {
    char tail[kStride] = {};
    std::memcpy(tail, bytes.data() + at, bytes.size() - at);
    mix_block(tail);
  }
  uint64_t hash = bytes.size();
  for (const uint64_t lane : lanes) mix(hash, lane);
  return hash ^ (hash >> 32);
}

}  // namespace

struct Dataset::Impl {
  explicit Impl(const std::filesystem::path& file)
      : path(file), map(file), extents(index_records(map.bytes(), file.string())) {}

  std::filesystem::path path;
  MappedFile map;
  std::vector<RecordExtent> extents;
  mutable std::once_flag hashed;
  mutable uint64_t hash = 0;
};

Dataset::Dataset(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Dataset::Dataset(Dataset&&) noexcept = default;
Dataset& Dataset::operator=(Dataset&&) noexcept = default;
Dataset::~Dataset() = default;

Dataset Dataset::open(const std::filesystem::path& path) {
  return Dataset(std::make_unique<Impl>(path));
}

int64_t Dataset::size() const { return static_cast<int64_t>(impl_->extents.size()); }

Sample Dataset::read(int64_t index) const {
  FINER_CHECK(index >= 0 && index < size(), "a record index below size()");
  const RecordExtent extent = impl_->extents[static_cast<size_t>(index)];
  const std::string_view text = impl_->map.bytes().substr(extent.begin, extent.end - extent.begin);
  try {
    return parse_sample(text, index);
  } catch (const DataError& error) {
    throw DataError(where(index, peek_id(text)) + ": " + error.what());
  }
}

std::vector<int64_t> Dataset::picture_groups(int64_t most) const {
  struct Open {
    int64_t group = 0, size = 0;
  };
  std::unordered_map<std::string, Open> open;  // the last group of each picture
  std::vector<int64_t> groups;
  groups.reserve(impl_->extents.size());
  int64_t next = 0;
  for (const RecordExtent extent : impl_->extents) {
    const auto bytes = impl_->map.bytes().substr(extent.begin, extent.end - extent.begin);
    const std::string image = peek_image(bytes);
    if (image.empty()) {
      groups.push_back(next++);
      continue;
    }
    Open& last = open[image];
    if (last.size == 0 || last.size == most) last = {next++, 0};
    ++last.size;
    groups.push_back(last.group);
  }
  return groups;
}

std::string Dataset::where(int64_t index, const std::string& id) const {
  std::string text = impl_->path.string() + ": record " + std::to_string(index);
  if (!id.empty()) text += " (id " + quote(id) + ")";
  return text;
}

uint64_t Dataset::content_hash() const {
  std::call_once(impl_->hashed, [this] { impl_->hash = hash_words(impl_->map.bytes()); });
  return impl_->hash;
}

const std::filesystem::path& Dataset::path() const { return impl_->path; }

}  // namespace finer::data
