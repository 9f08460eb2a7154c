#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

namespace finer::data {

/// A MATLAB v5 file, read by matio. v7.3 (HDF5), v4 and anything else is refused.
///
/// Text comes back as UTF-8, whatever width the file stores it in. Every function throws DataError
/// "FILE: VARIABLE ...": missing, of another kind, cut short, text that is no text.
class MatFile {
 public:
  explicit MatFile(const std::filesystem::path& path);
  ~MatFile();
  MatFile(const MatFile&) = delete;
  MatFile& operator=(const MatFile&) = delete;

  /// A cell array of text, in its linear order.
  std::vector<std::string> texts(const std::string& variable);
  /// A vector of whole numbers of any numeric class.
  std::vector<int64_t> whole_numbers(const std::string& variable);

  /// An array of structs, with a look at each field by name. Belongs to its file.
  class Structs {
   public:
    size_t size() const { return size_; }
    std::string text(size_t index, const char* field) const;
    int64_t whole_number(size_t index, const char* field) const;

   private:
    friend class MatFile;
    std::string where_;
    std::shared_ptr<void> variable_;
    size_t size_ = 0;
  };
  Structs structs(const std::string& variable, const std::vector<std::string>& fields);

 private:
  std::shared_ptr<void> variable(const std::string& name);
  std::string file_;
  void* mat_ = nullptr;
};

}  // namespace finer::data
